"""When those who were refused are to come back: one after the other, as fast as their tenant is served."""

import hashlib
import math
import threading
from collections import OrderedDict
from typing import TypeVar

from skylens.clock import Clock

PACE = 0.75
"""Share of a tenant's rate at which its line moves; the rest is for who comes for the first time."""
LONGEST = 3600.0
"""Seconds after which somebody is told to come back, at most."""
LATE = 5.0
"""Seconds by which the last one of a line may be late."""
MOST = 65_536
"""So many are known by their Idempotency-Key when they come back; of more, those told first are forgotten."""
_K = TypeVar("_K", str, bytes)


class Turns:
    """A line for each tenant, of which only its end is kept: each who is refused is told a time behind it.

    So those who follow it come as there is room for them, and never all at once. Nothing is reserved; who has an
    Idempotency-Key is known again. Shared by all request threads. It dies with its process: then who comes back is new.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._ends: OrderedDict[str, float] = OrderedDict()
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def give(self, tenant: str, key: str, *, earliest: float, rate: float) -> int:
        """Whole seconds after which to come back: not before ``earliest`` seconds, nor before those told already.

        ``key``: the Idempotency-Key, or empty; ``rate``: images of the tenant answered a second. Who asks again before
        its time is told the rest of it; who comes in time, and in vain, does not have to go back to the end.
        """
        with self._lock:
            now, name = self._clock.ticks(), _name(tenant, key)
            told = self._known.get(name) if key else None
            if told is not None and told > now:
                return _whole(told - now)
            at = now + earliest
            if told is None:
                at = min(max(at, self._ends.get(tenant, now)) + 1 / max(PACE * rate, 1e-6), now + LONGEST)
                _keep(self._ends, tenant, at)
            if key:
                _keep(self._known, name, at)
            return _whole(at - now)

    def may_fill(self, tenant: str, key: str, kept: float) -> float:
        """The share of a room that one may fill: all, but for ``kept`` of it while others of its tenant have turns.

        Those find what is kept when they come in time.
        """
        with self._lock:
            now = self._clock.ticks()
            if now > self._ends.get(tenant, -math.inf) + LATE:
                return 1.0
            told = self._known.get(_name(tenant, key)) if key else None
            return 1.0 if told is not None and told <= now else 1.0 - kept

    def took(self, tenant: str, key: str) -> None:
        """It was let in."""
        with self._lock:
            self._known.pop(_name(tenant, key), None)


def _keep(held: OrderedDict[_K, float], name: _K, at: float) -> None:
    held[name] = at
    held.move_to_end(name)
    if len(held) > MOST:
        held.popitem(last=False)


def _name(tenant: str, key: str) -> bytes:
    return hashlib.sha256(f"{tenant}/{key}".encode(errors="surrogatepass")).digest()[:16]


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
