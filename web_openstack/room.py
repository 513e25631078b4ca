"""Room for bodies: so many bytes at once, of which a tenant may have as many as it leaves free.

There are two: on disk for bodies on their way in, and in memory for what is read of them until it is stored.

That is the dynamic threshold, with a factor of one, of Choudhury and Hahne (Dynamic queue length thresholds for
shared-memory packet switches, IEEE/ACM Transactions on Networking 6(2), 1998): a tenant alone may fill a half, two of
them a third each, and the next one always finds some. Whoever finds too little waits until others have left.
"""

import threading
from collections import Counter
from dataclasses import dataclass

from skylens.clock import Clock
from web_openstack.callers import Tell

BODIES = 4
"""So many of the largest size fit on disk at once, or as many bytes of smaller ones."""
MEMORY = 192 * 1024**2
"""Bytes in memory at once, or two of the largest images if these are more."""
PATIENCE = 30.0
"""Seconds after which who waits is told to come again; looked at every few seconds."""


@dataclass(eq=False)
class Place:
    """What one body has of the room once it is ``taken``. ``size``: bytes; ``tell``: called when its wait is over."""

    tenant: str
    size: int
    tell: Tell
    since: float
    taken: bool = False


class Room:
    """Shared by the thread that serves every connection, which asks, and those that read bodies, which leave."""

    def __init__(self, size: int, clock: Clock, largest: int = 0) -> None:
        """``size``: bytes, of which no place is more than ``largest``, by default and at most a half."""
        self._size, self._clock, self._lock = size, clock, threading.Lock()
        self._largest = largest or size // 2
        self._own, self._all = Counter[str](), 0
        self._waiting: dict[str, dict[Place, None]] = {}
        """By tenant, in the order in which they came."""

    def ask(self, tenant: str, size: int, tell: Tell) -> Place:
        """A place, taken or to be waited for; either way it is to ``leave``."""
        place = Place(tenant, min(size, self._largest), tell, self._clock.ticks())
        with self._lock:
            if tenant in self._waiting or not self._fits(tenant, place.size):
                self._waiting.setdefault(tenant, {})[place] = None
            else:
                self._take(place)
        return place

    def taken(self) -> int:
        """Bytes of all places."""
        return self._all

    def grow(self, place: Place, size: int) -> bool:
        """Whether a place that is taken could be made ``size`` bytes large; nothing waits for that."""
        with self._lock:
            more = size - place.size
            if not self._fits(place.tenant, more):
                return False
            self._count(place.tenant, more)
            place.size = size
            return True

    def leave(self, place: Place) -> None:
        """Give it back, or wait no more; once more does nothing."""
        with self._lock:
            self._drop(place)
            if place.taken:
                place.taken = False
                self._count(place.tenant, -place.size)
            entered = self._let_in()
        for one in entered:
            one.tell()

    def end_waits(self) -> None:
        """Tell those who waited too long; their places are not ``taken``, and never will be."""
        before = self._clock.ticks() - PATIENCE
        with self._lock:
            late = [place for queue in self._waiting.values() for place in queue if place.since <= before]
            for place in late:
                self._drop(place)
            late += self._let_in()  # whom one of them stood in the way
        for place in late:
            place.tell()

    def _fits(self, tenant: str, size: int) -> bool:
        return self._own[tenant] + size <= self._size - self._all - size

    def _count(self, tenant: str, size: int) -> None:
        self._all += size
        self._own[tenant] += size
        if not self._own[tenant]:
            del self._own[tenant]

    def _take(self, place: Place) -> None:
        self._count(place.tenant, place.size)
        place.taken = True

    def _drop(self, place: Place) -> None:
        queue = self._waiting.get(place.tenant, {})
        queue.pop(place, None)
        if not queue:
            self._waiting.pop(place.tenant, None)

    def _let_in(self) -> list[Place]:
        """Whoever there is room for now; of two, the one whose tenant has less."""
        entered: list[Place] = []
        while place := self._next():
            self._drop(place)
            self._take(place)
            entered.append(place)
        return entered

    def _next(self) -> Place | None:
        first = (next(iter(self._waiting[tenant])) for tenant in sorted(self._waiting, key=self._own.__getitem__))
        return next((place for place in first if self._fits(place.tenant, place.size)), None)
