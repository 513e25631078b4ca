"""For how long EC2, which had no capacity, is not asked again."""

FIRST, LONGEST = 15.0, 180.0
"""Seconds after the first refusal; the most after many."""


class Refusals:
    """Those of one place. Each is remembered for twice as long as the one before, and all are forgotten in time.

    So a moment's want of capacity costs a backlog a quarter of a minute, and a place that has none for hours is asked
    20 times in each: far below what EC2 throttles. Owned by the loop's thread; times are those of ``Clock.ticks``.
    """

    def __init__(self) -> None:
        self._until = float("-inf")
        self._pause = FIRST

    def add(self, now: float) -> float:
        """The seconds for which this one is remembered."""
        self._pause = FIRST if now - self._until > LONGEST else min(2 * self._pause, LONGEST)
        self._until = now + self._pause
        return self._pause

    def left(self, now: float) -> float:
        """Seconds until the place may be asked again; 0 when it may be."""
        return max(0.0, self._until - now)
