"""The recent errors of one forecaster, in order of size."""

import bisect
from collections import deque
from collections.abc import Iterable

ENOUGH = 60
"""Errors below which their quantiles say nothing."""
KEPT = 720
"""Most errors kept: an hour of one each five seconds."""


class Residuals:
    """``actual - forecast``, absolute or in proportion to the forecast."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self.values: deque[float] = deque(values, maxlen=KEPT)
        self._sorted = sorted(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def add(self, value: float) -> None:
        if len(self.values) == KEPT:
            del self._sorted[bisect.bisect_left(self._sorted, self.values[0])]
        self.values.append(value)
        bisect.insort(self._sorted, value)

    def quantile(self, q: float) -> float:
        """The empirical quantile. Errors that are still to be made count as none: one burst is not a habit yet."""
        rank = len(self._sorted) - 1 - int((1 - q) * KEPT)
        if len(self._sorted) == KEPT:
            return self._sorted[max(0, rank)]
        return max(0.0, self._sorted[rank]) if rank >= 0 else 0.0
