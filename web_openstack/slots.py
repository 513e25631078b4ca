"""Places for requests that may block: so many at once, each tenant up to its share."""

import threading
from collections import Counter

from web_openstack.fairness import Standing, may_enter

SPARE = 8
"""For each so many slots one more, for tenants below their share when all are taken."""


def places(slots: int) -> int:
    """Most requests that hold a slot at once, when ``slots`` are for anybody."""
    return slots + slots // SPARE


LAST = 3
"""Of the places beyond what anybody may fill, one in so many is for tenants that have none at all."""


class Slots:
    """Shared by all request threads; a slot is taken and given back under one lock, and nobody waits for one."""

    def __init__(self, slots: int) -> None:
        self._slots, self._lock = slots, threading.Lock()
        self._taken, self._all = Counter[str](), 0

    def take(self, tenant: str, share: float = 1.0) -> bool:
        """Whether there was one. ``share``: how much of them this request may fill up."""
        with self._lock:
            own, room, most = self._taken[tenant], max(1.0, share * self._slots), places(self._slots)
            standing = Standing(own, self._all, len(self._taken) + (not own))
            kept = int(most - room) // LAST if own and self._all + 1 > room else 0
            if self._all >= most - kept or not may_enter(standing, room):
                return False
            self._taken[tenant] += 1
            self._all += 1
            return True

    def own(self, tenant: str) -> int:
        """How many the tenant holds."""
        return self._taken[tenant]

    def give_back(self, tenant: str) -> None:
        with self._lock:
            self._all -= 1
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]
