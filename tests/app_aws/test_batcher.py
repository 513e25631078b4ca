"""Images that come together are inferred together, and none suffers from its neighbours."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from parts import until

from app_aws.batcher import Batcher


def image(value):
    return np.array([value], np.float32)


class Model:
    """Doubles; fails on a negative value; holds its calls until released."""

    def __init__(self, *, held=False):
        self.sizes, self.running, self.most = [], 0, 0
        self.entered, self.release = threading.Event(), threading.Event()
        self.lock = threading.Lock()
        if not held:
            self.release.set()

    def __call__(self, batch):
        with self.lock:
            self.sizes.append(len(batch))
            self.running += 1
            self.most = max(self.most, self.running)
        self.entered.set()
        assert self.release.wait(10)
        with self.lock:
            self.running -= 1
        if any(one[0] < 0 for one in batch):
            raise ValueError("negative")
        if any(one[0] == 999 for one in batch):
            raise KeyboardInterrupt
        return np.stack(batch) * 2


class Running:
    """A batcher whose images come from threads of their own."""

    def __init__(self, model, size=8, wait_ms=0.0, calls=1):
        self.model, self.batcher = model, Batcher(model, size, wait_ms, calls=calls)
        self.pool = ThreadPoolExecutor(100)

    def submit(self, value):
        return self.pool.submit(lambda: float(self.batcher.infer(image(value))[0]))

    def behind(self, *values):
        """The first in a call that is held; then the others wait, in this order."""
        first = self.submit(values[0])
        assert self.model.entered.wait(10)
        others = []
        for number, value in enumerate(values[1:], 1):
            others.append(self.submit(value))
            until(lambda number=number: self.batcher.waiting() == number)
        return [first, *others]


@pytest.fixture
def running():
    started = []

    def run(*arguments, **options):
        started.append(Running(*arguments, **options))
        return started[-1]

    yield run
    for one in started:
        one.model.release.set()
        one.pool.shutdown()
        assert one.batcher.waiting() == 0


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_each_gets_what_was_found_for_its_own_image(running, calls):
    one = running(Model(), calls=calls)
    futures = [one.submit(value) for value in range(300)]
    assert [future.result(10) for future in futures] == [value * 2 for value in range(300)]
    assert one.model.most <= calls
    assert one.batcher._free == calls


def test_what_waits_behind_a_running_call_goes_together(running):
    one = running(Model(held=True), size=4)
    futures = one.behind(*range(7))
    one.model.release.set()
    assert [future.result(10) for future in futures] == [value * 2 for value in range(7)]
    assert one.model.sizes == [1, 4, 2]


def test_an_image_is_not_kept_waiting_for_company(running):
    assert running(Model(), wait_ms=1).submit(1).result(10) == 2


def test_a_batch_waits_for_company_as_told(running):
    one = running(Model(), size=2, wait_ms=5000)
    futures = [one.submit(1), one.submit(2)]
    assert [future.result(10) for future in futures] == [2, 4]
    assert one.model.sizes == [2]


def test_one_bad_image_does_not_fail_its_neighbours(running):
    one = running(Model(held=True), size=3)
    _, good, bad, fine = one.behind(0, 1, -1, 3)
    one.model.release.set()
    assert (good.result(10), fine.result(10)) == (2, 6)
    with pytest.raises(ValueError, match="negative"):
        bad.result(10)
    assert one.model.sizes == [1, 3, 1, 1, 1]


def test_it_goes_on_after_a_failure(running):
    one = running(Model())
    with pytest.raises(ValueError, match="negative"):
        one.submit(-1).result(10)
    assert one.submit(2).result(10) == 4


def test_whatever_ends_a_leader_those_behind_it_go_on(running):
    one = running(Model(held=True), size=2)
    _, ended, taken, behind = one.behind(0, 999, 1, 2)
    one.model.release.set()
    for lost in (ended, taken):
        with pytest.raises(KeyboardInterrupt):
            lost.result(10)
    assert behind.result(10) == 4
