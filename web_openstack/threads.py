"""The threads that serve requests: begun when they are needed, and the one that rested last works next."""

import threading

from waitress.task import ThreadedTaskDispatcher

from skylens import logs

log = logs.get(__name__)

FIRST = 16
"""Threads from the start."""


class NewestFirst:
    """In place of waitress's condition on which its threads rest: the last to lie down is the first to get up.

    So few clients are served by few threads, whose memory the processor still has at hand, and not by each in turn.
    """

    def __init__(self, lock: threading.Lock) -> None:
        """``lock``: held by whoever calls."""
        self._lock = lock
        self._resting: list[threading.Lock] = []

    def wait(self) -> None:
        bell = threading.Lock()
        bell.acquire()
        self._resting.append(bell)
        self._lock.release()
        try:
            bell.acquire()
        finally:
            self._lock.acquire()

    def notify(self) -> None:
        if self._resting:
            self._resting.pop().release()

    def notify_all(self) -> None:
        while self._resting:
            self.notify()


class Threads(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Waitress's dispatcher, which begins a thread when a request finds none at rest, up to ``most``.

    None ends before ``shutdown``. One that only rests costs 28 KB, which a thousand need not cost a quiet process.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self.queue_cv = NewestFirst(self.lock)
        self.set_thread_count(min(FIRST, most))

    def add_task(self, task: object) -> None:
        with self.lock:
            resting = len(self.threads) - self.active_count
            if len(self.queue) >= resting and len(self.threads) < self._most:
                self._begin()
        super().add_task(task)

    def _begin(self) -> None:
        number = len(self.threads)  # none has ended
        try:
            self.start_new_thread(self.handler_thread, number)
        except RuntimeError:  # the system gives no more; those that are there serve the request
            log.exception("web.no_thread", threads=number)
            return
        self.threads.add(number)
        self.active_count += 1

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        self._most = 0
        return bool(super().shutdown(cancel_pending, timeout))
