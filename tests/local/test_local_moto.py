"""moto's data are for one thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

from skylens.local.moto_server import one_at_a_time


def test_requests_are_answered_one_at_a_time_although_one_fails():
    inside, most, pause = [], [], threading.Event()

    def application(environ, start_response):
        inside.append(environ)
        most.append(len(inside))
        pause.wait(0.01)
        inside.pop()
        if environ["number"] % 3 == 0:
            raise RuntimeError("moto's own")
        start_response("200 OK", [])
        return [b"%d" % environ["number"]]

    served, started = one_at_a_time(application), []
    with ThreadPoolExecutor(8) as clients:
        futures = [clients.submit(served, {"number": one}, lambda *said: started.append(said)) for one in range(24)]
    assert max(most) == 1
    assert [one.result() for one in futures if not one.exception()] == [[b"%d" % one] for one in range(24) if one % 3]
    assert len(started) == 16
