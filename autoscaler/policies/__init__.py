"""The scaling policies. Each is pure: the same observation gets the same decision; the clamps come after it."""

from collections.abc import Callable
from typing import Protocol

from autoscaler.observation import Decision, Observation
from autoscaler.policies.deficit import Deficit
from autoscaler.policies.depth_cpu import DepthCpu
from autoscaler.policies.foresight import Foresight
from autoscaler.policies.greedy import Greedy
from autoscaler.policies.resident import Resident
from autoscaler.policies.target_tracking import TargetTracking
from autoscaler.policies.watch import Watch
from skylens.settings import ScalerSettings


class Policy(Protocol):
    def decide(self, seen: Observation) -> Decision: ...


POLICIES: dict[str, Callable[[ScalerSettings], Policy]] = {
    "foresight": Foresight,
    "target_tracking": lambda settings: TargetTracking(settings.latency_goal, settings.expected_service_seconds),
    "depth_cpu": lambda settings: DepthCpu(
        settings.images_to_scale_out, settings.cpu_to_scale_out, settings.cpu_to_scale_in
    ),
    "greedy": lambda settings: Greedy(settings.images_per_instance),
    "resident": lambda _: Resident(),
    "deficit": lambda _: Deficit(),
}


def make(settings: ScalerSettings) -> Policy:
    """The policy that the settings name; with the fleet ``alarms`` AWS scales, whatever they name."""
    return Watch() if settings.fleet == "alarms" else POLICIES[settings.policy](settings)
