"""Images that come together are inferred together, and none suffers from its neighbours."""

import threading

import numpy as np
import pytest
from parts import until

from app_aws.batcher import Batcher
from skylens.errors import UndecodableImageError


def ready(value):
    """What prepares an image that needs no preparing."""
    return lambda: np.array([value], np.float32)


def broken():
    raise UndecodableImageError("The image is damaged")


class Model:
    """Doubles; fails on a negative value; holds its first call until released."""

    def __init__(self, *, held=False):
        self.sizes = []
        self.entered, self.release = threading.Event(), threading.Event()
        if not held:
            self.release.set()

    def __call__(self, batch):
        self.sizes.append(len(batch))
        self.entered.set()
        assert self.release.wait(10)
        if any(one[0] < 0 for one in batch):
            raise ValueError("negative")
        return np.stack(batch) * 2


@pytest.fixture
def running():
    started = []

    def run(model, size=8, wait_ms=0.0, **options):
        batcher = Batcher(model, size, wait_ms, **options)
        batcher.start()
        started.append((batcher, model))
        return batcher

    yield run
    for batcher, model in started:
        if isinstance(model, Model):
            model.release.set()
        batcher.stop(10)
        assert not any(thread.is_alive() for thread in batcher.threads)


def test_each_future_gets_its_own_image(running):
    batcher = running(Model(), threads=2)
    futures = [batcher.submit(ready(value)) for value in range(50)]
    assert [float(future.result(10)[0]) for future in futures] == [value * 2 for value in range(50)]


def test_batchers_that_share_memory_prepare_no_more_at_once_than_it_is_for(running):
    shared, lock, at_once, most = threading.BoundedSemaphore(2), threading.Lock(), [0], [0]

    def prepare():
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        threading.Event().wait(0.01)
        with lock:
            at_once[0] -= 1
        return np.array([1], np.float32)

    batchers = [running(Model(), threads=2, decoding=shared) for _ in range(3)]
    futures = [batcher.submit(prepare) for batcher in batchers for _ in range(10)]
    assert all(future.result(10) for future in futures)
    assert most[0] == 2


def test_what_waits_behind_a_running_call_goes_together(running):
    model = Model(held=True)
    batcher = running(model, size=4)
    first = batcher.submit(ready(0))
    assert model.entered.wait(10)
    rest = [batcher.submit(ready(value)) for value in range(6)]
    model.release.set()
    for future in (first, *rest):
        future.result(10)
    assert model.sizes == [1, 4, 2]


def test_an_image_is_not_kept_waiting_for_company(running):
    assert running(Model(), wait_ms=1).submit(ready(1)).result(10) == 2


def test_a_batch_waits_for_company_as_told(running):
    model = Model()
    batcher = running(model, size=2, wait_ms=5000)
    futures = [batcher.submit(ready(1)), batcher.submit(ready(2))]
    assert [float(future.result(10)[0]) for future in futures] == [2, 4]
    assert model.sizes == [2]


def test_one_bad_image_does_not_fail_its_neighbours(running):
    model = Model(held=True)
    batcher = running(model, size=3)
    batcher.submit(ready(0))
    assert model.entered.wait(10)
    good, bad, fine = (batcher.submit(ready(value)) for value in (1, -1, 3))
    model.release.set()
    assert (good.result(10), fine.result(10)) == (2, 6)
    with pytest.raises(ValueError, match="negative"):
        bad.result(10)
    assert model.sizes == [1, 3, 1, 1, 1]


def test_it_goes_on_after_a_failure(running):
    batcher = running(Model())
    with pytest.raises(ValueError, match="negative"):
        batcher.submit(ready(-1)).result(10)
    assert batcher.submit(ready(2)).result(10) == 4


def test_an_image_that_cannot_be_prepared_is_told_so_and_its_neighbours_go_on(running):
    model = Model(held=True)
    batcher = running(model, size=3)
    batcher.submit(ready(0))
    assert model.entered.wait(10)
    good, damaged, fine = (batcher.submit(one) for one in (ready(1), broken, ready(3)))
    alone = [batcher.submit(broken) for _ in range(2)]
    model.release.set()
    assert (good.result(10), fine.result(10)) == (2, 6)
    for one in (damaged, *alone):
        with pytest.raises(UndecodableImageError, match="damaged"):
            one.result(10)
    assert model.sizes == [1, 2]


def test_no_more_images_are_prepared_at_once_than_there_are_threads(running):
    batcher = running(Model(), size=2, threads=2)
    inside, most = threading.Semaphore(0), threading.Semaphore(2)
    go = threading.Event()

    def prepare():
        assert most.acquire(blocking=False), "a third image at once"
        inside.release()
        assert go.wait(10)
        most.release()
        return np.zeros(1, np.float32)

    futures = [batcher.submit(prepare) for _ in range(9)]
    assert inside.acquire(timeout=10)
    assert inside.acquire(timeout=10)
    go.set()
    for future in futures:
        future.result(10)


@pytest.mark.parametrize(("seconds", "rows"), [(0.01, [4, 2]), (0.02, [2, 2, 2]), (0.1, [1] * 6)])
def test_a_quick_model_has_some_images_prepared_before_the_first_is_inferred(running, seconds, rows):
    """And a slow one has not, so that no image waits for another while a thread is idle."""
    now, events, held = [0.0], [], threading.Event()

    def infer(batch):
        events.append("infer")
        now[0] += seconds
        assert held.wait(10)
        return np.stack(batch)

    def prepare():
        events.append("prepare")
        return np.zeros(1, np.float32)

    batcher = running(infer, size=1, ticks=lambda: now[0])
    first = batcher.submit(ready(0))
    until(lambda: events)
    futures = [batcher.submit(prepare) for _ in range(6)]
    held.set()
    for future in (first, *futures):
        future.result(10)
    assert events == ["infer", *(event for row in rows for event in ["prepare"] * row + ["infer"] * row)]


def test_a_tenant_waits_for_no_more_than_one_image_of_another_at_a_thread(running):
    order, begun, go = [], threading.Event(), threading.Event()

    def prepare(name):
        def prepared():
            order.append(name)
            begun.set()
            assert go.wait(10)
            return np.zeros(1, np.float32)

        return prepared

    batcher = running(Model(), size=1)
    futures = [batcher.submit(prepare("a0"), "a")]
    assert begun.wait(10)
    futures += [batcher.submit(prepare(f"a{number}"), "a") for number in range(1, 5)]
    futures += [batcher.submit(prepare(name), name[0]) for name in ("b0", "b1", "c0")]
    go.set()
    for future in futures:
        future.result(10)
    assert order == ["a0", "a1", "b0", "c0", "a2", "b1", "a3", "a4"]


@pytest.mark.parametrize(("seconds", "sizes"), [(0.01, [1, 8]), (0.1, [1, 3, 3, 2]), (2.0, [1] * 9)])
def test_nothing_waits_long_in_a_row_for_what_is_prepared_behind_it(running, seconds, sizes):
    now, model = [0.0], Model(held=True)

    def prepare():
        now[0] += seconds
        return np.zeros(1, np.float32)

    batcher = running(model, ticks=lambda: now[0])
    first = batcher.submit(ready(0))
    assert model.entered.wait(10)
    futures = [batcher.submit(prepare) for _ in range(8)]
    model.release.set()
    for future in (first, *futures):
        future.result(10)
    assert model.sizes == sizes


def test_an_image_is_inferred_by_the_thread_that_prepared_it():
    """The model keeps memory for each thread that ever calls it, and a second thread would have to be woken."""
    prepared, inferred = [], []

    def infer(batch):
        inferred.append(threading.current_thread().name)
        return np.stack(batch)

    def prepare():
        prepared.append(threading.current_thread().name)
        return np.zeros(1, np.float32)

    batcher = Batcher(infer, 1, 0.0, threads=1)
    batcher.start()
    batcher.submit(prepare).result(10)
    batcher.stop(10)
    assert prepared == inferred == ["batcher-0"]


@pytest.mark.parametrize("threads", [1, 3])
def test_stopping_finishes_what_was_submitted_before(threads):
    model = Model(held=True)
    batcher = Batcher(model, 2, 0.0, threads=threads)
    batcher.start()
    futures = [batcher.submit(ready(value)) for value in range(9)]
    model.release.set()
    batcher.stop(10)
    assert all(future.done() for future in futures)
    assert not any(thread.is_alive() for thread in batcher.threads)
