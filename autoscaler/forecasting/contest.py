"""Which forecaster is believed: the one whose quantile forecasts have cost least lately."""

from collections import deque
from itertools import chain
from typing import NamedTuple

from autoscaler.forecasting.forecasters import Ewma, Forecaster, Holt, Last, Yesterday, pinball
from autoscaler.forecasting.residuals import ENOUGH, Residuals
from skylens.messages import Struct

EVERY = 5
"""Seconds between two forecasts that are kept to be judged."""
MEMORY = 0.998
"""How much of a loss is left at the next judgement: half of it after half an hour."""
YOUNG_MARGIN = 0.25
"""Share added to the present rate until there are enough errors to know better."""
MOST = 1e9
"""Images per second that nobody has."""
SMALLEST = 1.0
"""Rate in images per second below which errors are not taken in proportion any more."""


class Forecast(NamedTuple):
    rate: float
    """Images per second."""
    name: str
    """Whose it is."""


class _Candidate:
    """One forecaster with one way to measure its errors. ``loss``: None until judged."""

    def __init__(self, forecaster: int, *, relative: bool) -> None:
        self.forecaster, self.relative = forecaster, relative
        self.residuals = Residuals()
        self.loss: float | None = None

    def scale(self, point: float) -> float:
        return max(point, SMALLEST) if self.relative else 1.0

    def forecast(self, point: float, quantile: float) -> float:
        return max(0.0, point + self.residuals.quantile(quantile) * self.scale(point))

    def judge(self, point: float, actual: float, quantile: float) -> None:
        if len(self.residuals) >= ENOUGH:
            loss = pinball(quantile, actual, self.forecast(point, quantile))
            self.loss = loss if self.loss is None else MEMORY * self.loss + (1 - MEMORY) * loss
        self.residuals.add((actual - point) / self.scale(point))


class Record(Struct, frozen=True, kw_only=True):
    """What is kept of a contest across a restart: by candidate its name, errors and loss, and yesterday's minutes."""

    residuals: dict[str, tuple[float, ...]]
    losses: dict[str, float]
    minutes: dict[int, float]
    usual: float
    """Mean rate of the last half hour."""


class Contest:
    """Fed with one count a second. A quantile forecast is a point forecast plus that quantile of its errors."""

    def __init__(self) -> None:
        self._last, self._usual, self._yesterday = Last(), Ewma(1800), Yesterday()
        self._forecasters: list[Forecaster] = [self._last, Ewma(60), self._usual, Holt(), self._yesterday]
        self._candidates = [
            _Candidate(index, relative=relative)
            for index in range(len(self._forecasters))
            for relative in (True, False)
        ]
        self._best: _Candidate | None = None
        self._pending: deque[tuple[int, list[float | None]]] = deque()

    @property
    def present(self) -> float:
        """Images per second over the last seconds."""
        return self._last.rate

    @property
    def usual(self) -> float:
        """Images per second over the last half hour."""
        return self._usual.rate

    def see(self, second: int, count: int, horizon: int, quantile: float) -> None:
        """Take in one second. ``horizon``: seconds ahead that forecasts are for and judged at."""
        for forecaster in self._forecasters:
            forecaster.see(second, count)
        while self._pending and self._pending[0][0] <= second:
            due, points = self._pending.popleft()
            if due == second:
                self._judge(points, quantile)
        if second % EVERY == 0:
            self._pending.append((second + horizon, self._points(horizon)))
            self._best = min(self._able(horizon), key=lambda one: one.loss or 0.0, default=None)

    def skip(self) -> None:
        """Seconds are missing: what was forecast across them cannot be judged."""
        self._pending.clear()

    def forecast(self, horizon: int, quantile: float) -> Forecast:
        """The believed quantile of the rate ``horizon`` seconds ahead."""
        best = self._best
        point = None if best is None else self._forecasters[best.forecaster].point(horizon)
        if best is None or point is None:
            return Forecast(self.present * (1 + YOUNG_MARGIN), self._last.name)
        return Forecast(best.forecast(point, quantile), self._forecasters[best.forecaster].name)

    def record(self) -> Record:
        self._yesterday.prune()
        return Record(
            residuals={
                self._label(one): tuple(round(value, 4) for value in one.residuals.values) for one in self._candidates
            },
            losses={self._label(one): one.loss for one in self._candidates if one.loss is not None},
            minutes={minute: round(rate, 4) for minute, rate in self._yesterday.minutes.items()},
            usual=self._usual.rate,
        )

    def restore(self, record: Record) -> None:
        """Take up where another left off; candidates that it did not have start anew.

        Raises ValueError, and takes nothing up, when a number is beyond belief.
        """
        values = [*record.losses.values(), *record.minutes.values(), record.usual, *chain(*record.residuals.values())]
        if not all(abs(value) <= MOST for value in values):
            raise ValueError(f"a rate, error or loss is above {MOST:g}")
        for one in self._candidates:
            one.residuals = Residuals(record.residuals.get(self._label(one), ()))
            one.loss = record.losses.get(self._label(one))
        self._yesterday.minutes = dict(record.minutes)
        self._usual.resume(record.usual)
        self._best = min(self._able(0), key=lambda one: one.loss or 0.0, default=None)

    def _judge(self, points: list[float | None], quantile: float) -> None:
        for one in self._candidates:
            point = points[one.forecaster]
            if point is not None:
                one.judge(point, self.present, quantile)

    def _points(self, horizon: int) -> list[float | None]:
        return [forecaster.point(horizon) for forecaster in self._forecasters]

    def _able(self, horizon: int) -> list[_Candidate]:
        points = self._points(horizon)
        return [one for one in self._candidates if one.loss is not None and points[one.forecaster] is not None]

    def _label(self, one: _Candidate) -> str:
        return f"{self._forecasters[one.forecaster].name}, {'relative' if one.relative else 'absolute'}"
