"""Keeps the messages in work hidden from other workers."""

import threading

from skylens import logs
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.queues import Queue

log = logs.get(__name__)
_RETRY_SECONDS = 1.0


class Leases:
    """Extends the visibility of every held receipt, each third of the visibility timeout.

    Thread ``leases``: owned by the worker, a daemon; ``stop`` ends it at once. If it dies, messages in work reappear
    and are recognised twice, which changes no answer; the worker sees that it is dead and leaves.
    """

    def __init__(self, queue: Queue, visibility: int, interval: float | None = None) -> None:
        """``visibility``: seconds; ``interval``: seconds between two extensions, for tests."""
        self._queue, self._visibility = queue, visibility
        self._interval = visibility / 3 if interval is None else interval
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def hold(self, receipts: list[str]) -> None:
        with self._lock:
            self._held.update(receipts)

    def let_go(self, receipt: str) -> None:
        with self._lock:
            self._held.discard(receipt)

    def _run(self) -> None:
        pause = self._interval
        while not self._stopping.wait(pause):
            pause = self._interval if self.extend() else min(_RETRY_SECONDS, self._interval / 4)

    def extend(self) -> bool:
        """Extend all that is held; False when AWS did not take it."""
        with self._lock:
            held = sorted(self._held)
        try:
            if held:
                self._queue.extend(held, self._visibility)
        except AWS_ERRORS as error:
            log.warning("leases.not_extended", held=len(held), error=explain(error))
            return False
        return True
