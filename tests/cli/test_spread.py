"""Work spread over threads: bounded, complete, and no thread outlives its owner's wish."""

import itertools
import threading
import time

import pytest

from skylens.cli.spread import spread


def test_every_piece_is_done_once():
    assert sorted(spread(range(1000), lambda piece: piece * 2, 4)) == [piece * 2 for piece in range(1000)]


def test_endless_work_is_taken_up_only_as_fast_as_it_is_done():
    work = itertools.count()
    answers = spread(work, lambda piece: piece, 3)
    for _ in range(10):
        next(answers)
    answers.close()
    assert next(work) <= 10 + 2 * 3


def test_no_more_than_so_many_at_once():
    now, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(4)

    def do(_):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(10)
        with lock:
            now -= 1

    list(spread(range(40), do, 4))
    assert most == 4


def test_an_exception_reaches_the_owner_and_ends_the_threads():
    def do(piece):
        if piece == 5:
            raise ValueError("five")

    before = threading.active_count()
    with pytest.raises(ValueError, match="five"):
        list(spread(range(100), do, 2))
    end = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < end
        time.sleep(0.01)
