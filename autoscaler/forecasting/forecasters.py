"""Forecasters of the arrival rate, fed with one count a second; each costs a few operations."""

from collections import deque
from typing import Protocol

WINDOW = 10
"""Seconds that the present rate is the mean of."""
DAY = 1440
"""Minutes."""


class Forecaster(Protocol):
    """Rates are images per second. ``second``: whole Unix seconds, each once and in order."""

    name: str

    def see(self, second: int, count: int) -> None: ...

    def point(self, horizon: int) -> float | None:
        """The rate expected ``horizon`` seconds after the last one seen; None when it cannot tell."""
        ...


class Last:
    """As it is: the mean of the last seconds."""

    name = "last value"

    def __init__(self) -> None:
        self._counts: deque[int] = deque(maxlen=WINDOW)
        self._sum = 0

    @property
    def rate(self) -> float:
        return self._sum / WINDOW

    def see(self, second: int, count: int) -> None:
        del second
        if len(self._counts) == WINDOW:
            self._sum -= self._counts[0]
        self._counts.append(count)
        self._sum += count

    def point(self, horizon: int) -> float:
        del horizon
        return self.rate


class Ewma:
    """Exponentially weighted moving average. Until ``seconds`` have passed it is the plain mean."""

    def __init__(self, seconds: float) -> None:
        self.name = f"mean of {seconds / 60:.0f} min"
        self._seconds, self._seen, self.rate = seconds, 0, 0.0

    def resume(self, rate: float) -> None:
        """Go on from a mean that another has made."""
        self._seen, self.rate = round(self._seconds), rate

    def see(self, second: int, count: int) -> None:
        del second
        self._seen += 1
        self.rate += (count - self.rate) / min(self._seen, self._seconds)

    def point(self, horizon: int) -> float:
        del horizon
        return self.rate


class Holt:
    """Double exponential smoothing: level and trend. Only a rising trend goes on: to drain takes no time ahead.

    Source: Forecasting: Principles and Practice, 3rd edition, 8.2 "Methods with trend".
    """

    name = "trend"
    ALPHA, BETA = 0.05, 0.03

    def __init__(self) -> None:
        self._level: float | None = None
        self._trend = 0.0

    def see(self, second: int, count: int) -> None:
        del second
        if self._level is None:
            self._level = float(count)
            return
        before = self._level
        self._level = before + self._trend + self.ALPHA * (count - before - self._trend)
        self._trend += self.BETA * (self._level - before - self._trend)

    def point(self, horizon: int) -> float:
        return (self._level or 0.0) + max(0.0, self._trend) * horizon


class Yesterday:
    """The rate of the same minute one day ago."""

    name = "yesterday"

    def __init__(self) -> None:
        self.minutes: dict[int, float] = {}
        """Mean rate by whole Unix minute, of the last day."""
        self._minute, self._sum, self._seconds, self._second = 0, 0, 0, 0

    def see(self, second: int, count: int) -> None:
        minute = second // 60
        if minute != self._minute:
            if self._seconds:
                self.minutes[self._minute] = self._sum / self._seconds
                self.minutes.pop(self._minute - DAY - 1, None)
            self._minute, self._sum, self._seconds = minute, 0, 0
        self._sum += count
        self._seconds += 1
        self._second = second

    def point(self, horizon: int) -> float | None:
        return self.minutes.get((self._second + horizon) // 60 - DAY)

    def prune(self) -> None:
        """Forget what is older than a day: after a gap, single minutes may be left."""
        oldest = self._minute - DAY
        self.minutes = {minute: rate for minute, rate in self.minutes.items() if minute >= oldest}


def pinball(quantile: float, actual: float, forecast: float) -> float:
    """The loss that is least, on average, for the forecast that is the quantile.

    Source: "Regression Quantiles", Econometrica, 1978.
    """
    error = actual - forecast
    return max(quantile * error, (quantile - 1) * error)
