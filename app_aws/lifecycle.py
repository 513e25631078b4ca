"""When a worker leaves: pure rules, and the look at the autoscaler's lease that one of them needs."""

import math
from dataclasses import dataclass

from skylens.aws_errors import AWS_ERRORS
from skylens.clock import Clock
from skylens.errors import MessageError
from skylens.instances import RESIDENT
from skylens.store import Store

LEASE = "lease/autoscaler"
URGENT = frozenset({"spot", "SIGTERM", "SIGINT", "broken"})
"""Reasons that leave work at most one visibility timeout to finish; the others wait for it."""
_LOOK_SECONDS = 30.0


@dataclass(frozen=True)
class Rules:
    """Seconds as in ``WorkerSettings``; 0 means never."""

    idle_timeout: float
    orphan_timeout: float
    resident: bool


def reason_to_leave(rules: Rules, notice: str | None, idle: float, lease_age: float | None) -> str | None:
    """Why to leave now, or None to stay.

    ``notice``: what the metadata says, to leave or to be resident; ``idle``: seconds without work; ``lease_age``:
    seconds since the autoscaler renewed its lease, infinite when there is none, None when that is unknown, which proves
    nothing.
    """
    if notice and notice != RESIDENT:
        return notice
    if rules.resident or notice == RESIDENT:
        return None
    if rules.idle_timeout and idle >= rules.idle_timeout:
        return "idle"
    orphaned = lease_age is not None and lease_age >= rules.orphan_timeout
    if rules.orphan_timeout and idle >= rules.orphan_timeout and orphaned:
        return "orphaned"
    return None


def wants_lease(rules: Rules, idle: float) -> bool:
    """Whether the lease's age could matter soon."""
    return bool(rules.orphan_timeout) and not rules.resident and idle >= rules.orphan_timeout / 2


class AutoscalerLease:
    """The age of the autoscaler's lease, looked up at most every 30 seconds. Used by one thread."""

    def __init__(self, state: Store, clock: Clock) -> None:
        self._state, self._clock = state, clock
        self._looked = -math.inf
        self._age: float | None = None

    def age(self) -> float | None:
        """Seconds, as of the last look; infinite when there is no lease, None when nobody can say."""
        if self._clock.ticks() - self._looked >= _LOOK_SECONDS:
            self._looked = self._clock.ticks()
            try:
                found = self._state.get(LEASE)
            except (MessageError, *AWS_ERRORS):  # MessageError: of an object that is no lease, for its size
                self._age = None
            else:
                self._age = found.age if found else math.inf
        return self._age
