"""The scaling policies. Each is pure: the same observation gets the same decision; the clamps come after it."""

from collections.abc import Callable
from typing import Protocol

from autoscaler.observation import Decision, Observation
from autoscaler.policies.deficit import Deficit
from autoscaler.policies.greedy import Greedy
from skylens.settings import ScalerSettings


class Policy(Protocol):
    def decide(self, seen: Observation) -> Decision: ...


POLICIES: dict[str, Callable[[ScalerSettings], Policy]] = {
    "greedy": lambda settings: Greedy(settings.images_per_instance),
    "deficit": lambda _: Deficit(),
}


def make(settings: ScalerSettings) -> Policy:
    return POLICIES[settings.policy](settings)
