"""Who may come in: a bounded number of waiting clients, and no promise that cannot be kept."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from skylens.clock import Clock
from skylens.errors import UnavailableError
from skylens.messages import Demand, FleetReport

SILENT = 15.0
"""Seconds after which the autoscaler's last report is not believed any more."""
BRIEF = 8
"""Requests for an answer served at once without a slot, out of the spare threads."""
ASSUMED_BOOT, ASSUMED_SERVICE, ASSUMED_SLOTS = 120.0, 0.25, 4
"""What is assumed of a fleet nobody reported: one instance that boots in 120 s and takes 4 images at 0.25 s each."""


def predict(demand: Demand, fleet: FleetReport | None) -> float:
    """Seconds until an image taken in now would be answered.

    The backlog drains at ``ready * slots / service`` images a second (Little's law), and at the maximum fleet's rate
    once instances launched now have booted.
    """
    service = sum(demand.service_times) / len(demand.service_times) if demand.service_times else ASSUMED_SERVICE
    slots = fleet.slots if fleet and fleet.slots else ASSUMED_SLOTS
    boot = fleet.boot_seconds if fleet else ASSUMED_BOOT
    ready = sum(worker.state in {"ready", "busy", "idle"} for worker in fleet.workers) if fleet else 0
    maximum = max(fleet.maximum if fleet else 1, ready, 1)
    per_instance = slots / max(service, 0.001)
    backlog = demand.outstanding + 1
    drained_by_ready = ready * per_instance * boot
    if backlog <= drained_by_ready:
        return backlog / (ready * per_instance)
    return boot + (backlog - drained_by_ready) / (maximum * per_instance)


class FleetBoard:
    """The autoscaler's last report, and how old it is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: tuple[FleetReport, float] | None = None

    def post(self, report: FleetReport) -> None:
        self._held = (report, self._clock.ticks())

    def look(self) -> tuple[FleetReport, float] | None:
        """The last report and its age in seconds; None when there was none."""
        held = self._held
        return (held[0], self._clock.ticks() - held[1]) if held else None

    def fresh(self) -> FleetReport | None:
        held = self.look()
        return held[0] if held and held[1] <= SILENT else None


class Admission:
    """Lets requests in. Whatever may block (uploading, waiting) holds a slot; there are more threads than slots."""

    def __init__(self, slots: int, longest: float) -> None:
        """``slots``: requests that may block at once; ``longest``: predicted wait in seconds that is still taken."""
        self._slots = threading.BoundedSemaphore(slots)
        self._brief = threading.BoundedSemaphore(BRIEF)
        self._longest = longest
        self.draining = threading.Event()

    @contextmanager
    def visit(self) -> Iterator[bool]:
        """Answer someone who asks: with a slot, and so with time to wait (True), or at once, without (False).

        Raises UnavailableError only when even those who do not wait are too many.
        """
        if not self.draining.is_set() and self._slots.acquire(blocking=False):
            kept, may_wait = self._slots, True
        elif self._brief.acquire(timeout=1):
            kept, may_wait = self._brief, False
        else:
            raise UnavailableError("too many ask at once", retry_after=1)
        try:
            yield may_wait
        finally:
            kept.release()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the slots. Raises UnavailableError at once when all are taken or the process is stopping."""
        if self.draining.is_set():
            raise UnavailableError("this web process is stopping; ask again", retry_after=1)
        if not self._slots.acquire(blocking=False):
            raise UnavailableError("as many clients as allowed are waiting already", retry_after=2)
        try:
            yield
        finally:
            self._slots.release()

    def check(self, demand: Demand, fleet: FleetReport | None) -> None:
        """Refuse when the predicted wait is beyond the limit, saying when it will have come down to it.

        What one instance takes at once is never refused: an idle service learns its service time only by working.
        """
        expected = predict(demand, fleet)
        if expected > self._longest and demand.outstanding >= (fleet.slots if fleet else ASSUMED_SLOTS):
            raise UnavailableError(
                f"an answer would take about {expected:.0f} s; at most {self._longest:.0f} s are promised",
                retry_after=math.ceil(expected - self._longest),
            )
