"""Which threads serve requests, and how many."""

import threading

import pytest

from web_openstack import threads
from web_openstack.threads import NewestFirst, Threads


class Task:
    """Is at work until it may end."""

    def __init__(self):
        self.begun, self.may_end, self.ended = threading.Event(), threading.Event(), threading.Event()

    def service(self):
        self.begun.set()
        self.may_end.wait(10)
        self.ended.set()

    def cancel(self):
        self.may_end.set()


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setattr(threads, "FIRST", 2)
    made = []

    def start(most):
        made.append(Threads(most))
        return made[-1]

    yield start
    for one in made:
        one.shutdown(timeout=10)


def begin(dispatcher, count):
    tasks = [Task() for _ in range(count)]
    for task in tasks:
        dispatcher.add_task(task)
    return tasks


def end(tasks):
    for task in tasks:
        task.may_end.set()
    assert all(task.ended.wait(10) for task in tasks)


def test_a_request_that_finds_no_thread_at_rest_gets_a_new_one_up_to_the_most(serve):
    dispatcher = serve(5)
    assert len(dispatcher.threads) == 2
    tasks = begin(dispatcher, 5)
    assert all(task.begun.wait(10) for task in tasks)
    (waits,) = begin(dispatcher, 1)
    assert len(dispatcher.threads) == 5
    assert not waits.begun.is_set()
    end([*tasks, waits])


def test_threads_at_rest_are_used_before_new_ones_are_begun(serve):
    dispatcher = serve(50)
    for _ in range(20):
        while dispatcher.active_count:  # the last one may not lie down yet
            threading.Event().wait(0.001)
        end(begin(dispatcher, 1))
    assert len(dispatcher.threads) == 2


def test_where_the_system_gives_no_more_threads_those_that_are_there_serve(serve, monkeypatch):
    dispatcher = serve(50)

    def none(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(dispatcher, "start_new_thread", none)
    tasks = begin(dispatcher, 5)
    end(tasks)
    assert len(dispatcher.threads) == 2


def test_after_a_shutdown_no_thread_is_begun(serve):
    dispatcher = serve(5)
    dispatcher.shutdown(timeout=10)
    begin(dispatcher, 3)
    assert not dispatcher.threads


def test_the_thread_that_lay_down_last_gets_up_first():
    lock, woken = threading.Lock(), []
    condition = NewestFirst(lock)

    def rest(number):
        with lock:
            resting[number].set()
            condition.wait()
            woken.append(number)
            up.release()

    resting, up = [threading.Event() for _ in range(3)], threading.Semaphore(0)
    threads = [threading.Thread(target=rest, args=(number,)) for number in range(3)]
    for thread, here in zip(threads, resting, strict=True):
        thread.start()
        assert here.wait(10)
    for _ in range(2):
        with lock:
            condition.notify()
        assert up.acquire(timeout=10)
    assert woken == [2, 1]
    with lock:
        condition.notify_all()
    for thread in threads:
        thread.join(10)
    assert woken == [2, 1, 0]
