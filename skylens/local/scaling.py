"""The part of AWS that acts by itself on the group of the fleet ``alarms``, which moto only stores.

CloudWatch's alarms are evaluated, their step policies set the group's desired capacity, and a member that is to go is
told so in its metadata and terminated when its hook runs out. The rules are pure functions; ``Scaler`` is their edge.
"""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from skylens.alarms import Alarm, Policy, Scaling
from skylens.aws_errors import AWS_ERRORS, explain, is_passing
from skylens.clock import Clock
from skylens.local.children import Say
from skylens.local.metadata import Registry
from skylens.messages import moment

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

LOOK_EVERY = 0.5
"""Seconds between two looks at the group."""
EVALUATE_EVERY = 1.0
"""Seconds between two evaluations. CloudWatch takes about the period of a high-resolution alarm, 10 seconds."""
REPEAT = 60.0
"""Seconds after which an alarm that lasts has its action taken again, as CloudWatch does for Auto Scaling."""
SPARE_PERIODS = 2
"""How many more periods than needed an alarm looks at, to find enough data points where some are missing."""
WAITING = "Terminating:Wait"
NOTICE = "autoscaling/target-lifecycle-state"


def is_alarming(alarm: Alarm, points: Iterable[float | None]) -> bool:
    """``points``: one for each period looked at, the latest last; None where nothing was published.

    Source: "Configuring how CloudWatch alarms treat missing data", Amazon CloudWatch User Guide: the latest data points
    that exist are evaluated; only where there are fewer than ``evaluation_periods`` the missing ones count, here always
    as not breaching.
    """
    known = [point for point in points if point is not None][-alarm.evaluation_periods :]
    return sum(_is_breaching(alarm, point) for point in known) >= alarm.datapoints_to_alarm


def _is_breaching(alarm: Alarm, value: float) -> bool:
    match alarm.comparison:
        case "GreaterThanThreshold":
            return value > alarm.threshold
        case "GreaterThanOrEqualToThreshold":
            return value >= alarm.threshold
        case "LessThanThreshold":
            return value < alarm.threshold


def adjustment(alarm: Alarm, policy: Policy, value: float) -> int:
    """``scaling_adjustment`` of the step that ``value`` of the metric falls into; 0 when it is in none.

    Source: StepAdjustment, Amazon EC2 Auto Scaling API Reference: above the threshold a lower bound is inclusive and
    an upper one exclusive; below it, the other way round.
    """
    distance = value - alarm.threshold
    for step in policy.step_adjustments:
        lower = -math.inf if step.lower_bound is None else step.lower_bound
        upper = math.inf if step.upper_bound is None else step.upper_bound
        if lower <= distance < upper if alarm.above else lower < distance <= upper:
            return step.scaling_adjustment
    return 0


def adjusted(policy: Policy, current: int, by: int) -> int:
    """The capacity that a step policy makes of ``current``, not below 0. ``by``: the step's ``scaling_adjustment``.

    Source: "Scaling adjustment types", Amazon EC2 Auto Scaling User Guide: a change in percent is rounded towards zero,
    but one of less than an instance is one instance.
    """
    change = by
    if policy.adjustment_type == "PercentChangeInCapacity":
        least = max(1 if current else 0, policy.min_adjustment_step)
        size = max(math.floor(current * abs(by) / 100), least)
        change = size if by > 0 else -size if by < 0 else 0
    return max(0, current + change)


class Scaler:
    """Used by the main thread alone, each ``tick`` of its loop. What it knows is lost with it, but not the group."""

    def __init__(
        self,
        autoscaling: "AutoScalingClient",
        cloudwatch: "CloudWatchClient",
        group: str,
        scaling: Scaling,
        registry: Registry,
        say: Say,
        clock: Clock | None = None,
    ) -> None:
        self._autoscaling, self._cloudwatch, self._name = autoscaling, cloudwatch, group
        self._scaling, self._registry, self._say = scaling, registry, say
        self._clock = clock or Clock()
        self._looked = self._evaluated = -math.inf
        self._acted: dict[str, float] = {}
        """Each alarm that lasts, with the tick at which its action was taken last."""
        self._waiting: dict[str, float] = {}
        """Each member in its hook, with the tick at which it was first seen there."""

    def tick(self) -> None:
        """Act where it is time to. An emulator that does not answer in time is asked again."""
        now = self._clock.ticks()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        try:
            group = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self._name])
            self._hold(group["AutoScalingGroups"][0], now)
            if now - self._evaluated >= EVALUATE_EVERY:
                self._evaluated = now
                self._scale(group["AutoScalingGroups"][0], now)
        except AWS_ERRORS as error:
            if not is_passing(error):
                raise
            self._say(f"the emulator of Auto Scaling did not answer ({explain(error)}); asking again")

    def _hold(self, group: "AutoScalingGroupTypeDef", now: float) -> None:
        """Tell members that wait in their hook to leave, and let those go that waited too long."""
        waiting = [member["InstanceId"] for member in group["Instances"] if member["LifecycleState"] == WAITING]
        self._waiting = {one: self._waiting.get(one, now) for one in waiting}
        hook = self._scaling.lifecycle_hook
        for one, since in self._waiting.items():
            self._registry.notice(one, NOTICE, "Terminated")
            if now - since >= hook.heartbeat_timeout:
                self._say(f"{one} did not leave within {hook.heartbeat_timeout} s; its hook has run out")
                self._autoscaling.complete_lifecycle_action(
                    AutoScalingGroupName=self._name,
                    LifecycleHookName=hook.lifecycle_hook_name,
                    LifecycleActionResult=hook.default_result,
                    InstanceId=one,
                )

    def _scale(self, group: "AutoScalingGroupTypeDef", now: float) -> None:
        """Of several alarms, that counts which wants the largest capacity, as on AWS."""
        old = group["DesiredCapacity"]
        wanted = {}
        for alarm in self._scaling.alarms:
            points = self._points(alarm)
            if self._fires(alarm, points, now):
                latest = [point for point in points if point is not None][-1]
                policy = self._scaling.policy(alarm)
                wanted[alarm.name] = adjusted(policy, old, adjustment(alarm, policy, latest))
        if wanted:
            name = max(wanted, key=lambda alarm: wanted[alarm])
            self._resize(name, old, max(group["MinSize"], min(wanted[name], group["MaxSize"])))

    def _resize(self, alarm: str, old: int, new: int) -> None:
        if new != old:
            self._say(f"alarm {alarm}: desired capacity {old} -> {new}")
            self._autoscaling.set_desired_capacity(AutoScalingGroupName=self._name, DesiredCapacity=new)

    def _fires(self, alarm: Alarm, points: Sequence[float | None], now: float) -> bool:
        """Whether its action is due: it begins to alarm, or still does a minute later. Its state is there to read."""
        alarming, lasting = is_alarming(alarm, points), alarm.name in self._acted
        if alarming != lasting:
            state: Literal["ALARM", "OK"] = "ALARM" if alarming else "OK"
            self._cloudwatch.set_alarm_state(AlarmName=alarm.name, StateValue=state, StateReason="evaluated")
        if not alarming:
            self._acted.pop(alarm.name, None)
        elif not lasting or now - self._acted[alarm.name] >= REPEAT:
            self._acted[alarm.name] = now
            return True
        return False

    def _points(self, alarm: Alarm) -> list[float | None]:
        """What was published in each of the periods that it looks at, the current one last."""
        end = (math.floor(self._clock.now() / alarm.period) + 1) * alarm.period
        count = alarm.evaluation_periods + SPARE_PERIODS
        answer = self._cloudwatch.get_metric_data(
            MetricDataQueries=[_query(alarm)],
            StartTime=moment(end - count * alarm.period),
            EndTime=moment(end),
        )["MetricDataResults"][0]
        told = dict(zip((when.timestamp() for when in answer["Timestamps"]), answer["Values"], strict=True))
        return [told.get(end - alarm.period * back) for back in range(count, 0, -1)]


def _query(alarm: Alarm) -> "MetricDataQueryTypeDef":
    return {
        "Id": "points",
        "MetricStat": {
            "Metric": {
                "Namespace": alarm.namespace,
                "MetricName": alarm.metric_name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in alarm.dimensions.items()],
            },
            "Period": alarm.period,
            "Stat": alarm.statistic,
        },
    }
