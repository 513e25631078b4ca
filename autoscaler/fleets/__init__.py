"""The ways to run workers. Each fleet tells its instances and launches, drains and terminates some."""

from collections.abc import Callable, Collection
from typing import Protocol

from skylens.instances import Instance


class NoCapacityError(Exception):
    """Every place that instances may be launched in has refused lately."""


class Fleet(Protocol):
    """Calls raise what boto3 raises; none of them may be made without the lease, but ``instances`` and ``forget``."""

    def instances(self, expected: Collection[str]) -> list[Instance]:
        """Each instance that is not terminated, and of ``expected`` each that EC2 knows, terminated or not."""
        ...

    def settle(self) -> list[str]:
        """Repeat a launch whose answer was lost, if there is one: the ids that it gave."""
        ...

    def launch(self, count: int, sure: Callable[[], bool]) -> list[str]:
        """Launch up to ``count``; their ids. Raises NoCapacityError.

        ``sure`` is asked right before each call of EC2: whether the lease outlasts it. If not, nothing is launched.
        """
        ...

    def drain(self, ids: list[str]) -> None:
        """Ask workers to finish and leave."""
        ...

    def terminate(self, one: str) -> None:
        """End an instance whose worker never came up or is lost."""
        ...

    def forget(self) -> None:
        """Give up a launch whose answer was lost: somebody else acts now."""
        ...
