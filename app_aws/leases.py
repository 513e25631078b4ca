"""Keeps the messages in work hidden from other workers."""

import threading

from skylens import logs
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.clock import Clock
from skylens.queues import Queue

log = logs.get(__name__)
_RETRY_SECONDS = 1.0
LONGEST = 600.0
"""Most seconds that a message is held. An image takes seconds, the largest one on a crowded core a minute, for what
costs more is refused (``skylens.parts``, ``skylens.scans``): what takes ten times that hangs, and only a message that
nobody extends any more gets to another worker or to the dead letters."""


class Leases:
    """Extends the visibility of every held receipt, each third of the visibility timeout, for ``LONGEST`` at most.

    Thread ``leases``: owned by the worker, a daemon; ``stop`` ends it at once. If it dies, messages in work reappear
    and are recognised twice, which changes no answer; the worker sees that it is dead and leaves.
    """

    def __init__(self, queue: Queue, visibility: int, clock: Clock, interval: float | None = None) -> None:
        """``visibility``: seconds; ``interval``: seconds between two extensions, for tests."""
        self._queue, self._visibility, self._clock = queue, visibility, clock
        self._interval = visibility / 3 if interval is None else interval
        self._held: dict[str, float] = {}
        """Each receipt with the tick since which it is held."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def hold(self, receipts: list[str]) -> None:
        with self._lock:
            self._held.update(dict.fromkeys(receipts, self._clock.ticks()))

    def let_go(self, receipt: str) -> None:
        with self._lock:
            self._held.pop(receipt, None)

    def _run(self) -> None:
        pause = self._interval
        while not self._stopping.wait(pause):
            pause = self._interval if self.extend() else min(_RETRY_SECONDS, self._interval / 4)

    def hung(self) -> int:
        """How many are held for longer than ``LONGEST``: the work on them will not end."""
        began = self._clock.ticks() - LONGEST
        with self._lock:
            return sum(since <= began for since in self._held.values())

    def extend(self) -> bool:
        """Extend all that is held and not hung; False when AWS did not take it."""
        began = self._clock.ticks() - LONGEST
        with self._lock:
            held = sorted(receipt for receipt, since in self._held.items() if since > began)
        try:
            if held:
                self._queue.extend(held, self._visibility)
        except AWS_ERRORS as error:
            log.warning("leases.not_extended", held=len(held), error=explain(error))
            return False
        return True
