"""How many images a worker should have at hand beside those in work, so that its cores never wait for SQS."""

from collections import deque

SECONDS = 0.4
"""Work at hand for so long: SQS's answer takes less, and it is far less than any visibility timeout."""
MOST = 40
"""Images at hand, at most: each is a message of up to 256 KiB in memory."""
_SEEN, _LEAST = 32, 8
"""The last so many images make the pace, once there are at least so many."""
_FRESH = 2.0
"""Seconds after which an image says nothing of the pace any more: a rest lay between, or the model is slow."""


class Pace:
    """The rate at which images leave their slots while the queue has more. Its owner keeps threads apart."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=_SEEN)

    def supplied(self, asked: int, found: int) -> None:
        """A receive brought ``found`` of ``asked``.

        Less than half says that the queue runs dry: then none is to wait here while another worker has nothing to do.
        """
        if 2 * found < asked:
            self._ends.clear()

    def ended(self, at: float) -> None:
        """An image left its slot, at that tick."""
        while self._ends and at - self._ends[0] > _FRESH:
            self._ends.popleft()
        self._ends.append(at)

    def ahead(self) -> int:
        """How many images are worked on in ``SECONDS``; 0 while that is not known."""
        if len(self._ends) < _LEAST or self._ends[-1] <= self._ends[0]:
            return 0
        return min(MOST, int(SECONDS * (len(self._ends) - 1) / (self._ends[-1] - self._ends[0])))
