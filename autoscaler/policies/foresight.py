"""Policy ``foresight``: a fleet for what will have arrived by the time that an instance launched now is ready."""

import math
from collections import deque

from autoscaler.forecasting.contest import EVERY, Contest, Forecast, Record
from autoscaler.observation import ABLE, DEMAND, Decision, Observation
from autoscaler.policies.caution import Caution
from skylens.messages import Struct, decode, encode
from skylens.settings import ScalerSettings

LONGEST_HORIZON = 600
CLOCK = 10
"""Seconds by which the clock may seem to go back: ticks are not that exact."""


SLOWEST = 1e-6
"""Images per second below which an instance's capacity is not believed."""


class Memory(Struct, frozen=True, kw_only=True):
    """What is kept across a restart."""

    contest: Record
    caution: float


class Foresight:
    """``rate / (capacity * utilisation) + backlog / (capacity * goal)``, held for the break-even time.

    ``rate``: a high quantile of the forecast arrival rate, one boot ahead; which forecaster is believed is a matter of
    its recent pinball loss (``forecasting``), which quantile one of how many images were late (``Caution``).
    ``capacity``: images per second of one instance: its slots over the measured seconds of work per image.
    ``backlog``: images that wait, less what the present fleet can spare for them within a boot.
    The hold is the break-even keep-alive: a spare instance stays until it has cost as much idle as its next launch will
    cost, which is a boot, and at least what EC2 bills for the shortest run. Source: the ski-rental rule;
    "Dynamic right-sizing for power-proportional data centers", 2011; "AutoScale", ACM TOCS 2012 (delayed off).
    """

    def __init__(self, settings: ScalerSettings) -> None:
        self._goal, self._utilisation = settings.latency_goal, settings.utilisation
        self._service = settings.expected_service_seconds
        self._bill, self._scale_in = settings.minimum_bill_seconds, settings.scale_in_seconds
        self._contest, self._caution = Contest(), Caution(settings.forecast_quantile)
        self._second: int | None = None
        self._held: deque[tuple[float, int]] = deque()
        """Needs of the hold's time, each later one smaller: the first is the largest."""

    def learned(self) -> bytes:
        return encode(Memory(contest=self._contest.record(), caution=self._caution.level))

    def learn(self, data: bytes) -> None:
        """Raises MessageError when ``data`` is not what ``learned`` gave."""
        memory = decode(Memory, data)
        self._contest.restore(memory.contest)
        self._caution.resume(memory.caution)

    def decide(self, seen: Observation) -> Decision:
        horizon = _horizon(seen.boot_seconds)
        capacity = max(seen.slots / (seen.service_seconds or self._service), SLOWEST)
        able = seen.count(*ABLE)
        if DEMAND not in seen.stale:
            self._take_in(seen, horizon, able * capacity)
        forecast = self._contest.forecast(horizon, self._caution.quantile)
        backlog = self._backlog(seen, able, able * capacity, horizon)
        need = forecast.rate / (capacity * self._utilisation) + backlog / (capacity * self._goal)
        wanted = max(math.ceil(need - 1e-9), int(seen.outstanding > 0))
        held = self._hold(seen.at, min(wanted, seen.maximum), seen.boot_seconds)
        return Decision(desired=held, reason=self._reason(forecast, backlog, wanted, held, seen))

    def _take_in(self, seen: Observation, horizon: int, capacity: float) -> None:
        """Feed each whole second once, as far back as the observation goes. A clock set back begins anew."""
        latest = math.floor(seen.at - seen.ages.get(DEMAND, 0.0)) - 1
        if self._second is not None and latest < self._second - CLOCK:
            self._contest.skip()
            self._held.clear()
            self._second = latest - 1
        new = len(seen.arrivals) if self._second is None else latest - self._second
        if new > len(seen.arrivals):
            self._contest.skip()
            new = len(seen.arrivals)
        for back in range(new, 0, -1):
            self._contest.see(latest - back + 1, seen.arrivals[-back], horizon, self._caution.quantile)
        if new > 0:
            self._second = latest
            self._learn_lateness(seen, capacity)

    def _learn_lateness(self, seen: Observation, capacity: float) -> None:
        """Whether what arrives now will be late. With all instances at work already, caution could not help."""
        late = seen.outstanding > capacity * self._goal
        if late and seen.count(*ABLE) >= seen.maximum:
            return
        self._caution.see(late=late, weight=seen.arrivals[-1] / max(self._contest.usual, 0.1))

    def _backlog(self, seen: Observation, able: int, capacity: float, horizon: int) -> float:
        waiting = max(0, seen.outstanding - able * seen.slots)
        spare = 0.0 if DEMAND in seen.stale else max(0.0, capacity - self._contest.present)
        return max(0.0, waiting - spare * horizon)

    def _hold(self, at: float, wanted: int, boot: float) -> int:
        """The largest need of the break-even time; the clamp's own delay of scale-in is a part of it."""
        held, time = self._held, max(0.0, max(boot, self._bill) - self._scale_in)
        while held and held[-1][1] <= wanted:
            held.pop()
        held.append((at, wanted))
        while held[0][0] < at - time:
            held.popleft()
        return held[0][1]

    def _reason(self, forecast: Forecast, backlog: float, wanted: int, held: int, seen: Observation) -> str:
        ahead = f"P{self._caution.quantile * 100:.0f} in {seen.boot_seconds:.0f} s"
        text = f"{forecast.rate:.1f}/s at {ahead} ({forecast.name}), {backlog:.0f} behind"
        return f"{text}; {wanted} would do, break-even holds {held}" if held > wanted else text


def _horizon(boot: float) -> int:
    """Whole seconds, a multiple of the forecasters' step."""
    return min(LONGEST_HORIZON, max(EVERY, EVERY * round(boot / EVERY)))
