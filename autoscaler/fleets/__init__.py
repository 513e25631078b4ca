"""The ways to run workers. Each fleet tells its instances and launches, drains and terminates some."""

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from autoscaler.observation import Observation
from skylens.instances import Instance


class NoCapacityError(Exception):
    """Every place that instances may be launched in has refused lately."""


class Look(NamedTuple):
    """What AWS shows of the fleet. ``coming``: instances asked for that have no id yet; they count as pending."""

    instances: list[Instance]
    coming: int = 0


class Fleet(Protocol):
    """Calls raise what boto3 raises. None of them may be made without the lease, but ``look`` and ``forget``."""

    def look(self, expected: Collection[str]) -> Look | None:
        """Each instance that is not terminated, and of ``expected`` each that EC2 knows, terminated or not.

        A large fleet is looked at in steps, one a call: None until the step that completes the look.
        """
        ...

    def no_capacity(self) -> float:
        """Seconds until EC2 is asked for capacity again; 0 when some place has not refused lately."""
        ...

    def unsure(self) -> int:
        """Instances that AWS may have launched without saying so: room is kept for them until it has shown them."""
        ...

    def settle(self) -> list[str]:
        """Repeat a launch whose answer was lost, if there is one: the ids that it gave."""
        ...

    def launch(self, count: int, sure: Callable[[], bool]) -> list[str]:
        """Launch up to ``count``; the ids known by now. Raises NoCapacityError.

        ``sure`` is asked right before each call of AWS: whether the lease outlasts it. If not, nothing is launched.
        """
        ...

    def call_off(self, count: int) -> int:
        """Give up to ``count`` of the ``coming`` ones up; how many that were."""
        ...

    def drain(self, ids: list[str]) -> None:
        """Ask workers to finish and leave."""
        ...

    def settle_in(self, one: str) -> None:
        """Make an instance the resident one, whose worker does not leave for being idle."""
        ...

    def terminate(self, one: str) -> None:
        """End an instance whose worker never came up or is lost."""
        ...

    def tend(self, seen: Observation) -> None:
        """What this fleet needs each tick besides: publish its metric, clear away members that ended."""
        ...

    def forget(self) -> None:
        """Give up a launch whose answer was lost: somebody else acts now."""
        ...
