"""The cheapest fleet, in whole instances and seconds, that keeps up with the work."""

from dataclasses import dataclass

import numpy as np

from autoscaler.simulator.demand_curve import WorkCurves
from autoscaler.simulator.run import Counts, Seconds

_STRETCH = 300
"""Seconds between two tables that are kept; those between are worked out again on the way back."""


@dataclass(frozen=True)
class Prices:
    """What one instance costs in each second."""

    running: Seconds
    launch: Seconds


@dataclass(frozen=True)
class Plan:
    price: float
    """The least possible."""
    fleet: Counts
    """Ready instances in each second."""


class FleetSearch:
    """Dynamic programme over the seconds.

    Its table holds the least price of having ``n`` instances (row) and being at most ``behind`` units of work behind
    the most that could be done (column). A move from ``n`` to ``m`` instances costs ``launch * max(m - n, 0)``: a
    running minimum along the rows each way. A second with ``n`` instances moves row ``n`` by ``units * n`` columns.
    """

    def __init__(self, curves: WorkCurves, prices: Prices, *, minimum: int, maximum: int, initial: int) -> None:
        self._running, self._launch = prices.running.tolist(), prices.launch.tolist()
        self._news: list[int] = np.diff(curves.arrived).tolist()
        self._slack: list[int] = curves.slack.tolist()
        self._units, self._minimum, self._maximum = curves.units, minimum, maximum
        self._initial = initial - minimum
        self._sizes = np.arange(minimum, maximum + 1, dtype=np.float64)[:, None]
        self._origin = max(self._news)
        """The column of not being behind; those before it stand for the impossible and stay infinite."""
        self._columns = self._origin + max(self._slack) + self._units * maximum + 1

    def plan(self) -> Plan:
        table, kept = self._start(), []
        for second in range(len(self._news)):
            if second % _STRETCH == 0:
                kept.append(table.copy())
            self._step(table, second)
        prices = self._states(table, len(self._news))
        row, behind = np.unravel_index(int(prices.argmin()), prices.shape)
        return Plan(float(prices[row, behind]), self._way_back(kept, int(row), int(behind)))

    def _start(self) -> Seconds:
        table = np.full((len(self._sizes), self._columns), np.inf)
        table[self._initial, self._origin + self._slack[0]] = 0.0
        return table

    def _states(self, table: Seconds, second: int) -> Seconds:
        return table[:, self._origin : self._origin + self._slack[second] + 1]

    def _step(self, table: Seconds, second: int) -> None:
        self._resize(self._states(table, second), second)
        self._work(table, second)

    def _resize(self, states: Seconds, second: int) -> None:
        launch = self._launch[second] * self._sizes
        more = states - launch
        np.minimum.accumulate(more, axis=0, out=more)
        more += launch
        np.minimum.accumulate(states[::-1], axis=0, out=states[::-1])
        np.minimum(states, more, out=states)

    def _work(self, table: Seconds, second: int) -> None:
        """Each row is read ``news - units * n`` columns to the left, through a view whose rows are that much apart."""
        before, after, news = self._slack[second], self._slack[second + 1], self._news[second]
        last = self._origin + before
        table[:, last + 1 : self._origin + after - news + self._units * self._maximum + 1] = table[:, last : last + 1]
        first = table[0, self._origin - news + self._units * self._minimum :]
        row, column = table.strides
        moved = np.lib.stride_tricks.as_strided(
            first, (len(self._sizes), after + 1), (row + self._units * column, column)
        )
        self._states(table, second + 1)[:] = moved + self._running[second] * self._sizes

    def _way_back(self, kept: list[Seconds], row: int, behind: int) -> Counts:
        fleet = np.empty(len(self._news), np.int64)
        rows = np.arange(len(self._sizes))
        for stretch, table in reversed(list(enumerate(kept))):
            start = stretch * _STRETCH
            seconds = range(start, min(start + _STRETCH, len(self._news)))
            for second, states in reversed(list(zip(seconds, self._tables(table, seconds), strict=True))):
                fleet[second] = size = row + self._minimum
                behind = min(behind - self._news[second] + self._units * size, self._slack[second])
                launched = self._launch[second] * np.maximum(row - rows, 0)
                row = int((states[:, behind] + launched).argmin())
        return fleet

    def _tables(self, table: Seconds, seconds: range) -> list[Seconds]:
        tables = []
        for second in seconds:
            tables.append(self._states(table, second).copy())
            self._step(table, second)
        return tables
