"""The request queue's approximate counts, asked at most every other second however many look."""

import threading

from skylens.aws_errors import AWS_ERRORS
from skylens.clock import Clock
from skylens.queues import Counts, Queue

FRESH = 2.0


class QueueGauge:
    """Whoever finds the counts stale asks SQS; the others get the last counts meanwhile and never wait."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue, self._clock = queue, clock
        self._lock = threading.Lock()
        self._counts: Counts | None = None
        self._asked = float("-inf")

    def read(self) -> Counts | None:
        """The last counts; None while SQS has not answered."""
        if self._clock.ticks() - self._asked > FRESH and self._lock.acquire(blocking=False):
            try:
                self._asked = self._clock.ticks()
                self._counts = self._queue.counts()
            except AWS_ERRORS:
                self._counts = None
            finally:
                self._lock.release()
        return self._counts
