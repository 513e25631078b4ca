"""What whoever sizes a simulated fleet may see."""

from dataclasses import dataclass, field
from typing import Protocol

from skylens.messages import Worker


@dataclass(kw_only=True)
class View:
    """The world at one moment, before a decision. Histories hold one entry for each whole second, latest last.

    All views of a run share the same histories, which grow: to be read at once, and never changed.
    """

    now: float
    """Seconds since the trace began."""
    concurrency: int
    minimum: int
    maximum: int
    sqs_lag: float
    ready: int = 0
    coming: int = 0
    """Pending and booting instances."""
    leaving: int = 0
    waiting: int = 0
    """Accepted and not in work: what SQS calls visible."""
    in_flight: int = 0
    oldest: float = 0.0
    """Age of the oldest unanswered image."""
    service_seconds: float = 0.0
    """Mean work per image measured lately; 0 until one was."""
    boot_seconds: float = 0.0
    """The 90th percentile of the boots measured lately; 0 until one was."""
    arrivals: list[int] = field(default_factory=list)
    completions: list[int] = field(default_factory=list)
    waiting_each_second: list[int] = field(default_factory=list)
    in_flight_each_second: list[int] = field(default_factory=list)
    workers: tuple[Worker, ...] = ()
    """Filled in only for a scaler that says ``needs_workers``."""

    @property
    def active(self) -> int:
        """Instances that work or will: what ``Scaler.desired`` is compared with."""
        return self.ready + self.coming

    def sqs_waiting(self) -> int:
        """The count of visible messages as SQS shows it: ``sqs_lag`` seconds old."""
        return self._lagged(self.waiting_each_second, self.waiting)

    def sqs_in_flight(self) -> int:
        """The count of messages in flight as SQS shows it."""
        return self._lagged(self.in_flight_each_second, self.in_flight)

    def _lagged(self, history: list[int], current: int) -> int:
        back = round(self.sqs_lag)
        if back < 1:
            return current
        return history[-back] if len(history) >= back else 0


class Scaler(Protocol):
    """Sizes the simulated fleet. ``every``: seconds between two decisions.

    It may have ``idle_timeout`` and ``resident`` as well: see ``world.simulate``.
    """

    name: str
    every: float
    needs_workers: bool

    def desired(self, view: View) -> int:
        """How many instances should work or be on their way; the world keeps it within minimum and maximum."""
        ...
