"""Amazon EC2 Auto Scaling: target tracking on the backlog per instance."""

import math

from autoscaler.simulator.baselines.backlog import acceptable
from autoscaler.simulator.model import Model
from autoscaler.simulator.view import View

HIGH_PERIODS = 3
"""Consecutive periods above the target until the group grows. Amazon publishes no number: it is what the alarms that
target tracking creates show ("3 datapoints within 3 minutes"), and the "three minutes" of the AWS Compute Blog's
"Faster scaling with Amazon EC2 Auto Scaling Target Tracking" (2024). With periods of 10 seconds that post saw the
capacity grow "after one minute", boot included; the same 3 periods are taken."""
LOW_SECONDS = 900
"""Seconds below the low threshold until the group shrinks: "15 datapoints within 15 minutes" in those alarms. Nothing
is published for shorter periods; the same time is taken."""
LOW_SHARE = 0.9
"""The low threshold as a share of the target. Application Auto Scaling User Guide, "How target tracking scaling
works": capacity goes when the metric is lower than the target by, typically, more than 10 %. The alarms of EC2 groups
often show 0.7 instead, which keeps instances longer."""
REPEAT = 60
"""Seconds between two actions of an alarm that stays on. Amazon CloudWatch User Guide, "Using Amazon CloudWatch
alarms": "continues to invoke the action once per minute"."""


class AwsTracking:
    """A custom metric, published each period: visible messages over instances in service.

    Source: Amazon EC2 Auto Scaling User Guide, "Scaling policy based on Amazon SQS" (metric and target) and "Target
    tracking scaling policies": out, in proportion and rounded up, instances that warm up counting as asked for
    already; in, "more gradually", and not while instances warm up. As no step is published for that, each action
    removes one instance, and none that the proportion would keep. Warm-up lasts as long as the boot.

    In an empty group the metric is undefined. Any visible message then counts as above the target, as in the AWS
    Compute Blog's "Enhancing auto scaling resilience by tracking worker utilization metrics" (2026), which reports
    full utilization for a fleet of none with work; otherwise the group could not leave zero.

    Simplified: CloudWatch adds no delay to a published value; a dead instance is replaced with the next decision; the
    tuning to a group's own history that AWS announced in 2024 without saying how is left out.
    """

    needs_workers = False

    def __init__(self, model: Model, period: int) -> None:
        """``period``: seconds between two values of the metric, 60 or (high resolution) 10."""
        self.name, self.every = f"aws_{period}s", float(period)
        self._model, self._period = model, period
        self._target = acceptable(model)
        self._capacity = model.initial
        self._above = self._below = 0
        """Consecutive periods above the target and below the low threshold."""

    def desired(self, view: View) -> int:
        visible = view.sqs_waiting()
        backlog = visible / max(1, view.ready)
        above = backlog > self._target or (not view.ready and visible > 0)
        low = not above and backlog < LOW_SHARE * self._target
        self._above = self._above + 1 if above else 0
        self._below = self._below + 1 if low else 0
        needed = math.ceil(visible / self._target)
        if self._acts(self._above, HIGH_PERIODS):
            self._capacity = max(self._capacity, needed)
        elif self._acts(self._below, LOW_SECONDS // self._period) and not view.coming:
            self._capacity = min(self._capacity, max(needed, self._capacity - 1))
        self._capacity = min(max(self._capacity, self._model.minimum), self._model.maximum)
        return self._capacity

    def _acts(self, streak: int, periods: int) -> bool:
        """Whether an alarm that needs ``periods`` acts after ``streak`` of them: at once, then once a minute."""
        return streak >= periods and (streak - periods) * self._period % REPEAT == 0
