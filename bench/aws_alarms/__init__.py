"""The fleet ``alarms`` in the simulator: what AWS's own alarms, as declared by the product, make of a group."""

import math
from collections import deque

from autoscaler.fleets.alarms import PERIOD, metrics
from autoscaler.limits import Limits
from autoscaler.policies.watch import Watch
from autoscaler.simulator.model import Model
from autoscaler.simulator.ours import Ours
from autoscaler.simulator.view import View
from skylens.alarms import Alarm, declared
from skylens.local.scaling import REPEAT, SPARE_PERIODS, adjusted, adjustment, is_alarming


class Alarms:
    """What CloudWatch's alarms and AWS's step policies make of the group of the fleet ``alarms``.

    The declaration is ``skylens/alarms.json``; a data point is acted on one period after it was published.
    """

    name = "alarms"
    every = PERIOD
    needs_workers = True

    def __init__(self, model: Model) -> None:
        backlog = model.concurrency * model.goal / model.service.mean
        self._scaling = declared(deployment="pictures", slots=model.concurrency, acceptable_backlog=backlog)
        self._signals = Ours(Watch(), Limits(step=model.maximum, scale_in_seconds=0), self.name)
        longest = max(alarm.evaluation_periods for alarm in self._scaling.alarms) + SPARE_PERIODS
        self._points: deque[dict[str, float]] = deque(maxlen=longest)
        self._acted: dict[str, float] = {}

    def desired(self, view: View) -> int:
        wanted = [self._adjusted(alarm, view.active) for alarm in self._scaling.alarms if self._fires(alarm, view.now)]
        self._points.append(metrics(self._signals.observe(view)))
        return max(wanted, default=view.active)

    def _values(self, alarm: Alarm) -> list[float | None]:
        seen = list(self._points)[-alarm.evaluation_periods - SPARE_PERIODS :]
        return [point.get(alarm.metric_name) for point in seen]

    def _fires(self, alarm: Alarm, now: float) -> bool:
        if not is_alarming(alarm, self._values(alarm)):
            self._acted.pop(alarm.name, None)
            return False
        if now - self._acted.get(alarm.name, -math.inf) < REPEAT:
            return False
        self._acted[alarm.name] = now
        return True

    def _adjusted(self, alarm: Alarm, current: int) -> int:
        latest = [value for value in self._values(alarm) if value is not None][-1]
        policy = self._scaling.policy(alarm)
        return adjusted(policy, current, adjustment(alarm, policy, latest))
