"""Clients that wait for the answer to a job, found by the job's id and never by a file name."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from skylens.messages import Reply

LOOK = 5.0
"""Seconds between two looks at whether the waiting client is still there."""


class Waiter:
    def __init__(self) -> None:
        self._woken = threading.Event()
        self.reply: Reply | None = None

    @property
    def woken(self) -> bool:
        """The answer has come, or the process is stopping: waiting on is pointless."""
        return self._woken.is_set()

    def wake(self, reply: Reply | None) -> None:
        self.reply = reply or self.reply
        self._woken.set()

    def wait(self, seconds: float, gone: Callable[[], bool]) -> Reply | None:
        """The answer, or None after ``seconds``, when the client has ``gone``, or when the process is stopping."""
        while seconds > 0 and not self._woken.wait(min(seconds, LOOK)) and not gone():
            seconds -= LOOK
        return self.reply


class Waiters:
    """All waiters of this process. Request threads come and go; the reply thread resolves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], list[Waiter]] = {}
        self._stopping = False

    @contextmanager
    def expect(self, job: str, tenant: str) -> Iterator[Waiter]:
        """A waiter for that tenant's job; open it before the job can be answered, so that no answer is missed."""
        waiter, place = Waiter(), (job, tenant)
        with self._lock:
            self._held.setdefault(place, []).append(waiter)
            if self._stopping:
                waiter.wake(None)
        try:
            yield waiter
        finally:
            with self._lock:
                self._held[place].remove(waiter)
                if not self._held[place]:
                    del self._held[place]

    def expects(self, job: str, tenant: str) -> bool:
        """Whether anybody waits for that tenant's job."""
        with self._lock:
            return (job, tenant) in self._held

    def resolve(self, reply: Reply) -> None:
        with self._lock:
            for waiter in self._held.get((reply.id, reply.tenant), ()):
                waiter.wake(reply)

    def stop(self) -> None:
        """Wake everyone with nothing: the process is stopping and they must answer what they can."""
        with self._lock:
            self._stopping = True
            for waiters in self._held.values():
                for waiter in waiters:
                    waiter.wake(None)
