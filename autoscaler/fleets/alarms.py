"""Fleet ``alarms``: an Auto Scaling group sized by AWS's own CloudWatch alarms, as ``skylens/alarms.json`` declares."""

from collections.abc import Callable, Collection
from functools import partial

from autoscaler.fleets import Look
from autoscaler.fleets.asg import AsgFleet, do_all
from autoscaler.limits import NEEDED_FOR_SCALE_IN
from autoscaler.observation import DEMAND, INSTANCES, Observation
from skylens.clock import Clock
from skylens.cloudwatch import CloudWatch
from skylens.groups import WAITING, Group
from skylens.instances import Instances

PERIOD = 10.0
"""Seconds that the alarms give each data point; each such period of the clock gets one."""
RECENT = 15
"""Seconds for which an image that came or was answered counts as demand.

More than a period: none falls between two data points, and when work ends, the alarm that takes some instances begins
before the one that takes all. Of two at once AWS would only ever act on the former.
"""


class AlarmsFleet(AsgFleet):
    """Launches, calls off and drains nothing: AWS does. Members that never came up or are lost it removes as ``asg``.

    AWS picks whom it takes without a look at its work, so the group has a termination hook: the member waits as
    ``Terminating:Wait``, its worker sees that in the metadata, finishes and leaves, and ``tend`` lets the member go.
    The desired capacity does not count such members, so ``tend`` lowers the group's maximum by as many meanwhile: AWS
    cannot launch others before they are gone. It has a data point's time for that, as two alarms never act at once.
    """

    def __init__(self, instances: Instances, group: Group, cloudwatch: CloudWatch, clock: Clock) -> None:
        super().__init__(instances, group, clock)
        self._cloudwatch = cloudwatch
        self._published = 0.0
        """The period of the last data point, counted from 1970."""

    def look(self, expected: Collection[str]) -> Look | None:
        """A member that AWS takes is draining from the moment that AWS says so."""
        look = super().look(expected)
        if look is None:
            return None
        view = self._last()
        leaving = view.members.keys() - view.staying
        return look._replace(
            instances=[one._replace(draining=one.draining or one.id in leaving) for one in look.instances]
        )

    def launch(self, count: int, sure: Callable[[], bool]) -> list[str]:
        del count, sure
        return []

    def call_off(self, count: int) -> int:
        del count
        return 0

    def drain(self, ids: list[str]) -> None:
        """Not ours to say."""

    def tend(self, seen: Observation) -> None:
        """Publish, leave room, let those go whose worker has stopped; what fails of one does not keep the others."""
        stopped = {worker.instance for worker in seen.workers if worker.state == "stopping"}
        waiting = [one for one, state in self._last().members.items() if state == WAITING and one in stopped]
        steps = [partial(self._publish, seen), partial(self._leave_room, seen.maximum)]
        steps += [partial(self._group.complete, one) for one in waiting]
        do_all([*steps, partial(super().tend, seen)])

    def _leave_room(self, maximum: int) -> None:
        """The limit is never below what is desired: AWS would take instances to keep it."""
        view = self._last()
        limit = max(maximum - (len(view.members) - len(view.staying)), view.desired)
        if limit != view.maximum:
            self._group.limit(limit, view.desired)
            self._seen = view._replace(maximum=limit)

    def _publish(self, seen: Observation) -> None:
        period = self._clock.now() // PERIOD
        if period > self._published and (told := metrics(seen)):
            self._cloudwatch.publish(told)
            self._published = period


def metrics(seen: Observation) -> dict[str, float]:
    """What the alarms look at. What is not known is not published: missing data never alarm.

    An instance counts from its launch, so that what is on its way is not asked for again.

    - ``Unserved``: outstanding images while there is no instance, else 0.
    - ``BacklogPerInstance``: outstanding images for each instance, if there is one.
    - ``BacklogIfOneFewer``: the same if there were one fewer, if there are two.
    - ``Demand``: outstanding images, and those that came or were answered lately; 0 when nobody needs an instance.

    The last two let AWS take instances, so they are missing as long as work may exist that nobody sees.
    """
    if seen.stale & {DEMAND, INSTANCES}:
        return {}
    told: dict[str, float] = {"Unserved": 0 if seen.active else seen.outstanding}
    if seen.active:
        told["BacklogPerInstance"] = seen.outstanding / seen.active
    if seen.stale & NEEDED_FOR_SCALE_IN:
        return told
    told["Demand"] = seen.outstanding + sum(seen.arrivals[-RECENT:]) + sum(seen.completions[-RECENT:])
    if seen.active > 1:
        told["BacklogIfOneFewer"] = seen.outstanding / (seen.active - 1)
    return told
