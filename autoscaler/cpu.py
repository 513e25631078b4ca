"""The fleet's mean CPU: as the workers tell it in their heartbeats, or as CloudWatch measures it."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from autoscaler.member import SILENT
from autoscaler.roster import Roster
from autoscaler.trouble import Troubles
from skylens.clock import Clock

ASK_EVERY = 60.0
"""Seconds between two looks at CloudWatch, as its metric has one value a minute."""
OLD = 300.0
"""Age in seconds above which CloudWatch's value is stale.

With detailed monitoring it is two to four minutes old; basic monitoring, with a value in five minutes, is too coarse.
"""


class Metric(Protocol):
    """CloudWatch, as far as it is needed here."""

    def cpu(self, instances: Collection[str]) -> tuple[float, float] | None:
        """Mean percent over these instances and its age in seconds; None when there is no data."""
        ...


class Reading(NamedTuple):
    """``percent``: None until known, else the last known; ``age``: its seconds. Of no instances, nothing is stale."""

    percent: float | None = None
    age: float | None = None
    stale: bool = False


class FleetCpu(Protocol):
    """Owned by the loop's thread."""

    def read(self, able: Collection[str]) -> Reading:
        """The mean over ``able``, the ids of the instances whose workers take images."""
        ...


class _Known(NamedTuple):
    """``at``: monotonic seconds."""

    percent: float
    at: float


def _reading(known: _Known | None, now: float, *, stale: bool) -> Reading:
    return Reading(known.percent, now - known.at, stale) if known else Reading(stale=stale)


class ToldCpu:
    """What the workers said in the last ``SILENT`` seconds; stale once there is no word as young as that."""

    def __init__(self, roster: Roster, clock: Clock) -> None:
        self._roster, self._clock = roster, clock
        self._known: _Known | None = None
        self._since: float | None = None
        """Of when the last word is, or since when there is somebody who could say one."""

    def read(self, able: Collection[str]) -> Reading:
        now, told = self._clock.ticks(), self._roster.cpu()
        if told:
            self._known = _Known(told.percent, now - told.age)
            self._since = self._known.at
        elif not able:
            self._known = self._since = None
        elif self._since is None:
            self._since = now
        return _reading(self._known, now, stale=self._since is not None and now - self._since > SILENT)


class MeasuredCpu:
    """CloudWatch's value, asked for once a minute. Without data, or without an answer, it is stale at once."""

    def __init__(self, metric: Metric, troubles: Troubles, clock: Clock) -> None:
        self._metric, self._troubles, self._clock = metric, troubles, clock
        self._known: _Known | None = None
        self._asked = float("-inf")
        self._lacking = True

    def read(self, able: Collection[str]) -> Reading:
        if not able:
            self._known, self._lacking = None, True
            return Reading()
        if self._clock.ticks() - self._asked >= ASK_EVERY:
            self._asked = self._clock.ticks()
            self._ask(able)
        now = self._clock.ticks()
        old = self._known is not None and now - self._known.at > OLD
        return _reading(self._known, now, stale=self._lacking or old)

    def _ask(self, able: Collection[str]) -> None:
        self._lacking = True
        with self._troubles.aws("cpu"):
            found = self._metric.cpu(able)
            if found:
                percent, age = found
                self._known, self._lacking = _Known(percent, self._clock.ticks() - age), False
