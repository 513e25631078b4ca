"""When those who were refused are to come back: one after the other, as fast as their tenant is served."""

import hashlib
import math
import threading
from collections import OrderedDict

from skylens.clock import Clock

PACE = 0.75
"""Share of a tenant's rate at which its line moves; the rest is for who comes for the first time."""
LONGEST = 3600.0
"""Seconds after which somebody is told to come back, at most."""
LATE = 5.0
"""Seconds by which the last one of a line may be late."""
MOST = 65_536
"""So many are known by their Idempotency-Key when they come back; of more, the tenant that has most forgets its first.

So many tenants' lines are known, too.
"""


class Turns:
    """A line for each tenant, of which only its end is kept: each who is refused is told a time behind it.

    So those who follow it come as there is room for them, and never all at once. Nothing is reserved; who has an
    Idempotency-Key is known again. Shared by all request threads. It dies with its process: then who comes back is new.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._ends: OrderedDict[str, float] = OrderedDict()
        self._known: dict[str, OrderedDict[bytes, float]] = {}
        self._count = 0

    def give(self, tenant: str, key: str, *, earliest: float, rate: float) -> int:
        """Whole seconds after which to come back: not before ``earliest`` seconds, nor before those told already.

        ``key``: the Idempotency-Key, or empty; ``rate``: images of the tenant answered a second. Who asks again before
        its time is told the rest of it; who comes in time, and in vain, does not have to go back to the end.
        """
        with self._lock:
            now, told = self._clock.ticks(), self._told(tenant, key)
            if told is not None and told > now:
                return _whole(told - now)
            at = now + earliest
            if told is None:
                at = min(max(at, self._ends.get(tenant, now)) + 1 / max(PACE * rate, 1e-6), now + LONGEST)
                self._ends[tenant] = at
                self._ends.move_to_end(tenant)
                if len(self._ends) > MOST:
                    self._ends.popitem(last=False)
            if key:
                self._remember(tenant, key, at)
            return _whole(at - now)

    def may_fill(self, tenant: str, key: str, kept: float) -> float:
        """The share of a room that one may fill: all, but for ``kept`` of it while others of its tenant have turns.

        Those find what is kept when they come in time.
        """
        with self._lock:
            now = self._clock.ticks()
            if now > self._ends.get(tenant, -math.inf) + LATE:
                return 1.0
            told = self._told(tenant, key)
            return 1.0 if told is not None and told <= now else 1.0 - kept

    def took(self, tenant: str, key: str) -> None:
        """It was let in."""
        with self._lock:
            if self._told(tenant, key) is not None:
                del self._known[tenant][_name(key)]
                self._fewer(tenant)

    def _told(self, tenant: str, key: str) -> float | None:
        own = self._known.get(tenant) if key else None
        return own.get(_name(key)) if own else None

    def _remember(self, tenant: str, key: str, at: float) -> None:
        own, name = self._known.setdefault(tenant, OrderedDict()), _name(key)
        self._count += name not in own
        own[name] = at
        own.move_to_end(name)
        if self._count > MOST:
            fullest = max(self._known, key=lambda each: len(self._known[each]))
            self._known[fullest].popitem(last=False)
            self._fewer(fullest)

    def _fewer(self, tenant: str) -> None:
        """One turn of the tenant is known no more."""
        self._count -= 1
        if not self._known[tenant]:
            del self._known[tenant]


def _name(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()[:16]


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
