"""Policy ``target_tracking``: AWS's backlog-per-instance recipe, on the demand as counted."""

import math

from autoscaler.observation import Decision, Observation


class TargetTracking:
    """``ceil(outstanding / acceptable)`` with ``acceptable = latency goal / seconds of work per image``.

    Source: "Scaling policy based on Amazon SQS", Amazon EC2 Auto Scaling User Guide: the acceptable backlog per
    instance is the acceptable latency over the average processing time. An instance here works on ``slots`` images at
    once, so its acceptable backlog is that many times as long.
    """

    def __init__(self, goal: float, service: float) -> None:
        """``goal``: seconds; ``service``: seconds of work per image until that is measured."""
        self._goal, self._service = goal, service

    def decide(self, seen: Observation) -> Decision:
        service = seen.service_seconds or self._service
        acceptable = max(1.0, seen.slots * self._goal / service)
        return Decision(
            desired=min(math.ceil(seen.outstanding / acceptable), seen.maximum),
            reason=f"{seen.outstanding} outstanding, {acceptable:.0f} acceptable per instance",
        )
