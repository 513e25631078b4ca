"""Calls of many threads, gathered into few."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from port_suite import DEADLINE, together

from skylens.gather import Gather


class Counter:
    """A call that notes what it was given; ``bad`` items fail."""

    def __init__(self, bad=()):
        self.calls, self.bad = [], set(bad)

    def __call__(self, items):
        self.calls.append(list(items))
        return [ValueError(item) if item in self.bad else None for item in items]


def test_one_caller_alone_does_not_wait_when_nobody_is_expected():
    call = Counter()
    Gather(call, most=10, linger=DEADLINE, more=lambda: False).do("a")
    assert call.calls == [["a"]]


def test_callers_at_the_same_time_share_calls_and_none_is_lost_or_doubled():
    call = Counter()
    gather = Gather(call, most=10, linger=0.2)
    together([lambda number=number: gather.do(number) for number in range(25)])
    assert sorted(item for items in call.calls for item in items) == list(range(25))
    assert len(call.calls) < 25
    assert max(map(len, call.calls)) <= 10


def test_a_full_call_goes_at_once():
    call = Counter()
    gather = Gather(call, most=3, linger=DEADLINE)
    together([lambda number=number: gather.do(number) for number in range(3)])
    assert len(call.calls) == 1


def test_a_call_goes_as_soon_as_nobody_else_is_expected():
    call, expected = Counter(), [True, True, False]
    Gather(call, most=3, linger=DEADLINE / 10, more=lambda: expected.pop(0)).do("a")
    assert expected == []


def test_only_the_caller_of_a_bad_item_gets_its_error():
    gather = Gather(Counter(bad=[1]), most=3, linger=DEADLINE)
    failures = together([lambda number=number: outcome(gather, number) for number in range(3)])
    assert failures == [None, "1", None]


def outcome(gather, item):
    try:
        gather.do(item)
    except Exception as error:  # noqa: BLE001 - its words are what is compared
        return str(error)


def test_everybody_gets_the_error_of_a_call_that_failed():
    def broken(_items):
        raise OSError("no way")

    gather = Gather(broken, most=2, linger=DEADLINE)
    assert together([lambda number=number: outcome(gather, number) for number in range(2)]) == ["no way"] * 2


def test_the_others_hear_of_a_leader_that_was_ended():
    def ended(_items):
        raise SystemExit

    gather, errors = Gather(ended, most=2, linger=DEADLINE), []

    def one(number):
        try:
            gather.do(number)
        except (SystemExit, RuntimeError) as error:
            errors.append(type(error))

    together([lambda number=number: one(number) for number in range(2)])
    assert sorted(errors, key=repr) == [RuntimeError, SystemExit]


def test_no_call_is_heavier_than_it_may_be():
    call = Counter()
    gather, chance = Gather(call, most=10, linger=0.05, heaviest=100), random.Random(1)
    weights = [chance.randrange(1, 80) for _ in range(40)]
    together([lambda item=item: gather.do(item, item[1]) for item in enumerate(weights)])
    assert sorted(item for items in call.calls for item in items) == list(enumerate(weights))
    assert max(sum(weight for _, weight in items) for items in call.calls) <= 100


def test_an_item_heavier_than_any_call_goes_alone():
    call = Counter()
    Gather(call, most=10, heaviest=100).do("a", 500)
    assert call.calls == [["a"]]


def test_who_begins_goes_on_until_it_asks_how_it_went():
    call, here = Counter(bad=["b"]), threading.Event()
    gather = Gather(lambda items: here.wait(DEADLINE) and call(items), most=2, linger=DEADLINE)
    with ThreadPoolExecutor(1) as calls:
        good, bad = gather.begin("a", calls), gather.begin("b", calls)
        assert call.calls == []
        here.set()
        good()
        with pytest.raises(ValueError, match="b"):
            bad()
    assert call.calls == [["a", "b"]]


def test_nobody_waits_for_a_thread_that_does_not_come():
    calls = ThreadPoolExecutor(1)
    calls.shutdown()
    gather = Gather(Counter(), most=10, linger=DEADLINE)
    for _ in range(2):  # the first one's party is not joined by the second
        with pytest.raises(RuntimeError):
            gather.begin("a", calls)


@pytest.mark.parametrize("threads", [50])
def test_under_a_storm_each_caller_returns(threads):
    call = Counter()
    gather, done = Gather(call, most=10, linger=0.001), []

    def many():
        for number in range(50):
            gather.do((threading.get_ident(), number))
        done.append(1)

    together([many] * threads)
    assert len(done) == threads
    assert len({item for items in call.calls for item in items}) == threads * 50
