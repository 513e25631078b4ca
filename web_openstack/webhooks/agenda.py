"""What this process knows of pending webhooks: when to look at each of them next.

It is memory alone, filled by what this node takes in and by listings of the bucket, and dies with its process. Written
by request threads, the reply thread and the courier's, under one lock.
"""

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from skylens.clock import Clock
from skylens.errors import TooManyRequestsError, UnavailableError
from skylens.messages import Reply
from web_openstack.fairness import Standing, may_enter

MOST, MOST_OF_TENANT = 5_000, 1_000
"""Pending ones that are taken in, in all and of one tenant: others are refused. Where there are as many as may be in
all, a tenant below an equal share may have more all the same."""
AT_ONCE, AT_ONCE_OF_TENANT = 8, 4
"""Looked at or sent at once: one tenant's slow receiver leaves threads to the others."""
FIRST_LOOK = 1.0
"""Seconds after which one is looked at whose answer nobody has told of: it may have been there at once."""
RETRY_AFTER = 30


class Place(NamedTuple):
    """Whose webhook, and of which image or batch."""

    tenant: str
    id: str


@dataclass
class _Entry:
    due: float
    """In ticks."""
    since: float
    """Ticks at which it got here."""
    is_busy: bool = False
    is_heard: bool = False
    is_news: bool = False
    """Heard of while somebody looked, who may have looked too early."""


class Agenda:
    def __init__(self, clock: Clock, most: int = MOST, most_of_tenant: int = MOST_OF_TENANT) -> None:
        self._clock, self._most, self._most_of_tenant = clock, most, most_of_tenant
        self._entries: dict[Place, _Entry] = {}
        self._of: Counter[str] = Counter()
        self._busy: Counter[str] = Counter()
        self._turn, self._served = 0, dict[str, int]()
        """How many were taken so far, and which was a tenant's last one."""
        self._news = threading.Condition()
        self._is_new = False

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, place: Place) -> None:
        """A new one of this node. Raises TooManyRequestsError, UnavailableError when there are as many as may be."""
        with self._news:
            if place in self._entries:
                return
            if self._of[place.tenant] >= self._most_of_tenant:
                detail = f"{self._most_of_tenant} webhooks of this tenant are not delivered yet, as many as it may have"
                raise TooManyRequestsError(detail, retry_after=RETRY_AFTER, reason="webhooks")
            if not self._has_room(place.tenant):
                raise UnavailableError("too many webhooks are not delivered yet", retry_after=RETRY_AFTER)
            self._put(place, self._clock.ticks() + FIRST_LOOK)

    def _put(self, place: Place, due: float) -> None:
        self._entries[place] = _Entry(due, self._clock.ticks())
        self._of[place.tenant] += 1
        self._tell()

    def _remove(self, place: Place) -> None:
        if self._entries.pop(place, None) is None:
            return
        self._of[place.tenant] -= 1
        if not self._of[place.tenant]:
            del self._of[place.tenant]

    def _has_room(self, tenant: str) -> bool:
        own = self._of[tenant]
        return may_enter(Standing(own, len(self._entries), len(self._of) + (not own)), self._most)

    def _tell(self) -> None:
        self._is_new = True
        self._news.notify_all()

    def drop(self, place: Place) -> None:
        with self._news:
            self._remove(place)

    def heard(self, reply: Reply) -> None:
        """An answer has come: look at its webhook now, if it has one. Only the first word of it counts."""
        with self._news:
            entry = self._entries.get(Place(reply.tenant, reply.id))
            if entry is not None and not entry.is_heard:
                entry.is_heard, entry.is_news, entry.due = True, entry.is_busy, self._clock.ticks()
                self._tell()

    def listed(self, places: Iterable[tuple[Place, float]], began: float) -> None:
        """What lies in the bucket, each with the seconds until a first look; ``began``: ticks before the listing.

        What is not there any more was delivered or deleted, if it was here before the listing began.
        """
        found = dict(places)
        with self._news:
            for place, entry in list(self._entries.items()):
                if place not in found and entry.since < began and not entry.is_busy:
                    self._remove(place)
            for place, pause in found.items():
                if place not in self._entries and self._has_room(place.tenant):
                    self._put(place, self._clock.ticks() + pause)

    def take(self) -> list[Place]:
        """Those that are due, as many as may be at work; each is to be given back by ``done``.

        First comes the tenant with the fewest at work, and of equals the one who was served longest ago: so however
        many wait for receivers that never answer, everybody else's turn comes with the next free place.
        """
        with self._news:
            self._is_new, now = False, self._clock.ticks()
            due: dict[str, deque[Place]] = {}
            for place, entry in sorted(self._entries.items(), key=lambda one: one[1].due):
                if entry.due <= now and not entry.is_busy:
                    due.setdefault(place.tenant, deque()).append(place)
            taken = []
            while due and self._busy.total() < AT_ONCE:
                tenant = min(due, key=lambda one: (self._busy[one], self._served.get(one, 0)))
                if self._busy[tenant] >= AT_ONCE_OF_TENANT:
                    break
                taken.append(self._begin(due[tenant].popleft()))
                if not due[tenant]:
                    del due[tenant]
            return taken

    def _begin(self, place: Place) -> Place:
        self._entries[place].is_busy = True
        self._busy[place.tenant] += 1
        self._turn += 1
        self._served[place.tenant] = self._turn
        return place

    def _may_take(self, place: Place, entry: _Entry) -> bool:
        free = self._busy.total() < AT_ONCE and self._busy[place.tenant] < AT_ONCE_OF_TENANT
        return free and not entry.is_busy

    def done(self, place: Place, pause: float | None) -> None:
        """Look at it again in ``pause`` seconds; None: never."""
        with self._news:
            self._busy[place.tenant] -= 1
            if not self._busy[place.tenant]:
                del self._busy[place.tenant]
            entry = self._entries.get(place)
            if pause is None:
                self._remove(place)
                if not self._of[place.tenant]:
                    self._served.pop(place.tenant, None)
            elif entry is not None:
                entry.due = self._clock.ticks() + (0.0 if entry.is_news else pause)
                entry.is_busy = entry.is_news = False
            self._tell()

    def wake(self) -> None:
        with self._news:
            self._tell()

    def rest(self, longest: float) -> None:
        """Wait until one that may be taken is due, something new is known, or ``longest`` seconds are over."""
        with self._news:
            due = [entry.due for place, entry in self._entries.items() if self._may_take(place, entry)]
            pause = min([longest, *(when - self._clock.ticks() for when in due)])
            self._news.wait_for(lambda: self._is_new, max(0.0, pause))
