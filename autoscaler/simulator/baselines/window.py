"""Knative's mean over the last seconds."""

from collections import deque

PRECISION = 6
"""Decimals that a mean is rounded to. Source: as ``Window``, ``precision``."""


class Window:
    """One value a second; the mean is over the seconds since the first one, so that a fresh start is seen at once.

    A gap as long as the window makes a fresh start; the seconds of a shorter one count as 0 once it is over.
    Source: knative/serving, pkg/autoscaler/aggregation/bucketing.go, TimedFloat64Buckets.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._values: deque[tuple[int, float]] = deque()
        self._first = self._last = -seconds - 1

    def record(self, second: int, value: float) -> None:
        """``second``: later than those recorded before."""
        if second - self._last >= self._seconds:
            self._first = second
        self._last = second
        self._values.append((second, value))
        self._prune(second)

    def is_empty(self, second: int) -> bool:
        return second - self._last > self._seconds

    def mean(self, second: int) -> float:
        """Over the window that ends with ``second``; 0 without any value in it."""
        self._prune(second)
        if not self._values:
            return 0.0
        known = min(self._last - self._first + 1, self._seconds - (second - self._last))
        return round(sum(value for _, value in self._values) / known, PRECISION)

    def _prune(self, second: int) -> None:
        while self._values and self._values[0][0] <= second - self._seconds:
            self._values.popleft()
