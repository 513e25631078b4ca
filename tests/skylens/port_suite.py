"""What the tests of the AWS ports share."""

import threading
import time

DEADLINE = 30.0
MAX_RECEIVES = 5


def until(look):
    """The first true answer of ``look``."""
    end = time.monotonic() + DEADLINE
    while not (found := look()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def together(calls):
    """Start all calls at the same moment, each in a thread of its own that is joined here; their answers."""
    start, answers = threading.Barrier(len(calls)), [None] * len(calls)

    def one(number, call):
        start.wait(DEADLINE)
        answers[number] = call()

    threads = [threading.Thread(target=one, args=(number, call)) for number, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    return answers
