"""Who may come in: a bounded number of waiting clients; and what the autoscaler says of its fleet."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from skylens.clock import Clock
from skylens.errors import UnavailableError
from skylens.messages import FleetReport
from web_openstack.slots import Slots

SILENT = 15.0
"""Seconds after which the autoscaler's last report is not believed any more."""
BRIEF = 10
"""Places for requests that ask without a slot and do not wait, by the rule of ``Slots``: 11 of the server's 16 spare
threads at most, so health and refusals always have some."""
ANYBODYS = 0.8
"""Share of those places that a tenant alone may fill, which is 8; the rest is for tenants below an equal share."""


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

    def __init__(self, slots: int) -> None:
        """``slots``: requests that may block at once."""
        self._slots, self._brief = Slots(slots), Slots(BRIEF)
        self.draining = threading.Event()

    @contextmanager
    def visit(self, tenant: str) -> Iterator[bool]:
        """Answer someone who asks: with a slot, and so with time to wait (True), or at once, without (False).

        Nobody waits here, nor has time in a drain. Raises UnavailableError at once when even of those who do not wait
        the tenant has too many.
        """
        if self._slots.take(tenant):
            try:
                yield not self.draining.is_set()
            finally:
                self._slots.give_back(tenant)
            return
        if not self._brief.take(tenant, ANYBODYS):
            raise UnavailableError("too many ask at once", retry_after=1)
        try:
            yield False
        finally:
            self._brief.give_back(tenant)

    @contextmanager
    def slot(self, tenant: str, share: float = 1.0, later: Callable[[], int] = lambda: 2) -> Iterator[None]:
        """Hold one of the slots. Raises UnavailableError at once when there is none or the process is stopping.

        ``share``: how much of them this request may fill up; ``later``: seconds after which to come back otherwise.
        """
        if self.draining.is_set():
            raise UnavailableError("this web process is stopping; ask again", retry_after=1)
        if not self._slots.take(tenant, share):
            detail = "as many clients as allowed are waiting already"
            raise UnavailableError(detail, retry_after=later(), reason="overload")
        try:
            yield
        finally:
            self._slots.give_back(tenant)
