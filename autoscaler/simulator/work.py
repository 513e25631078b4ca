"""Requests in arrival order and the slots that take them: a first-come, first-served queue with many servers."""

import heapq
from typing import NamedTuple

import numpy as np

from autoscaler.simulator.run import Seconds

_CHUNK = 2048
"""How many queued requests are looked at at once: a backlog may hold millions."""


class Slot(NamedTuple):
    """``free``: when its work ends, or ended; ``request``: what it worked on last, -1 for nothing."""

    free: float
    instance: int
    request: int


class Work:
    """Which slot works on which request, and when.

    The oldest request goes to the slot that has been free for longest, as long polls of SQS are served about in the
    order in which they came. Work is laid out ahead: a request's end is known when it starts.
    """

    def __init__(self, arrivals: Seconds, services: Seconds) -> None:
        """``arrivals``: sorted; ``services``: of work, for each request."""
        self._arrivals, self._services = arrivals, services
        self.starts = np.full(len(arrivals), np.inf)
        self.ends = np.full(len(arrivals), np.inf)
        self.answered = 0
        self.oldest = 0
        """Each request before this one is answered."""
        self._started = 0
        self._settled = -np.inf
        self._slots: list[tuple[float, int, int]] = []  # Slot's fields: a plain tuple is made in half the time
        self._returned: list[int] = []

    @property
    def in_flight(self) -> int:
        """Started and not answered, those that a dead instance left behind included."""
        return self._started - self.answered - len(self._returned)

    def waiting(self, arrived: int) -> int:
        """How many of the ``arrived`` requests are not started, or returned."""
        return arrived - self._started + len(self._returned)

    def join(self, instance: int, slots: int, now: float) -> None:
        for _ in range(slots):
            heapq.heappush(self._slots, (now, instance, -1))

    def leave(self, instance: int) -> list[Slot]:
        """The slots of ``instance`` take no more requests."""
        left = [Slot(*slot) for slot in self._slots if slot[1] == instance]
        self._slots = [slot for slot in self._slots if slot[1] != instance]
        heapq.heapify(self._slots)
        return left

    def slots(self, instance: int) -> list[Slot]:
        return [Slot(*slot) for slot in self._slots if slot[1] == instance]

    def busy(self, now: float) -> dict[int, int]:
        """How many slots of each instance work; one without any is missing."""
        counts: dict[int, int] = {}
        for free, instance, _ in self._slots:
            if free > now:
                counts[instance] = counts.get(instance, 0) + 1
        return counts

    def lose(self, request: int) -> None:
        """Nobody works on ``request`` any more."""
        self.starts[request] = self.ends[request] = np.inf

    def give_back(self, request: int) -> None:
        """A lost request is in the queue again, before all that came after it."""
        heapq.heappush(self._returned, request)

    def serve(self, now: float, until: float, arrived: int) -> None:
        """Start what can start before ``until``; ``arrived``: how many requests arrive before that."""
        while self._returned and self._slots and self._slots[0][0] < until:
            self._start_again(heapq.heappop(self._returned), now)
        while self._started < arrived and self._slots and self._slots[0][0] < until:
            self._start(min(arrived, self._started + _CHUNK), until)

    def _start_again(self, request: int, now: float) -> None:
        free, instance, _ = self._slots[0]
        start = max(free, now)
        end = start + float(self._services[request])
        self.starts[request], self.ends[request] = start, end
        heapq.heapreplace(self._slots, (end, instance, request))

    def _start(self, last: int, until: float) -> None:
        """Start the requests up to ``last``, or until no slot is free before ``until``."""
        first = request = self._started
        slots, replace = self._slots, heapq.heapreplace
        starts: list[float] = []
        for arrival, service in zip(
            self._arrivals[first:last].tolist(), self._services[first:last].tolist(), strict=True
        ):
            free, instance, _ = slots[0]
            start = arrival if arrival > free else free  # noqa: FURB136 - max() takes twice as long
            if start >= until:
                break
            replace(slots, (start + service, instance, request))
            starts.append(start)
            request += 1
        self.starts[first:request] = starts
        self.ends[first:request] = self.starts[first:request] + self._services[first:request]
        self._started = request

    def settle(self, now: float) -> None:
        """Count what is answered at ``now``."""
        if now == self._settled:
            return
        self._settled = now
        unanswered = self.ends[self.oldest : self._started] > now
        count = len(unanswered)
        if count:
            self.answered = self._started - int(np.count_nonzero(unanswered))
            first = int(unanswered.argmax())
            self.oldest += first if unanswered[first] else count
