"""What becomes of each simulated instance, and when."""

import heapq
import math
from itertools import islice

from autoscaler.simulator.fleet import Fleet, Instance
from autoscaler.simulator.model import Model
from autoscaler.simulator.work import Work

_READY, _BACK, _GONE, _DEATH, _IDLE = range(5)
"""What happens, in the order in which it does when at the same time."""


class Lives:
    """Moves instances from coming to ready to leaving to gone, in virtual time; times in seconds."""

    def __init__(
        self, fleet: Fleet, work: Work, model: Model, *, idle_timeout: float, staying: int, calls_off: bool
    ) -> None:
        """``idle_timeout``: after it an idle instance leaves by itself, 0 for never; ``staying``: how many do not.

        ``calls_off``: one that is coming ends as soon as it is not wanted; otherwise it boots first.
        """
        self._fleet, self._work, self._model = fleet, work, model
        self._idle_timeout, self._staying, self._calls_off = idle_timeout, staying, calls_off
        self._events: list[tuple[float, int, int]] = []
        self._kinds = {
            _READY: self._get_ready,
            _BACK: self._give_back,
            _GONE: self._go,
            _DEATH: self._die,
            _IDLE: self._check_idle,
        }

    def next(self) -> float:
        """When something happens next; infinity for never."""
        return self._events[0][0] if self._events else math.inf

    def happen(self, now: float) -> None:
        """All that is due."""
        while self._events and self._events[0][0] <= now:
            _, kind, number = heapq.heappop(self._events)
            self._kinds[kind](number, now)

    def expect(self, instance: Instance) -> None:
        """It gets ready when its boot is over."""
        self._plan(instance.ready_at, _READY, instance.number)

    def drain(self, number: int, now: float) -> None:
        """It goes when its work is done and it had its time to leave; one that is coming, when called off or booted."""
        coming = number in self._fleet.coming
        if coming and self._calls_off:
            self._fleet.end(number, now)
            return
        instance = self._fleet.drain(number, self._work.leave(number))
        gone = instance.ready_at if coming else max(instance.worked_until, now + self._model.leave)
        if gone > now:
            self._plan(gone, _GONE, number)
        else:
            self._fleet.end(number, now)

    def _plan(self, at: float, kind: int, number: int) -> None:
        heapq.heappush(self._events, (at, kind, number))

    def _get_ready(self, number: int, now: float) -> None:
        if number not in self._fleet.coming:
            return
        instance = self._fleet.get_ready(number)
        self._work.join(number, self._model.concurrency, now)
        if math.isfinite(instance.dies_at):
            self._plan(instance.dies_at, _DEATH, number)
        if self._idle_timeout:
            self._plan(now + self._idle_timeout, _IDLE, number)

    def _give_back(self, request: int, _: float) -> None:
        self._work.give_back(request)

    def _go(self, number: int, now: float) -> None:
        if number in self._fleet.leaving:
            self._fleet.end(number, now)

    def _die(self, number: int, now: float) -> None:
        """Its images stay hidden until the visibility timeout has passed."""
        if number in self._fleet.ready:
            self._fleet.drain(number, self._work.leave(number))
        if number not in self._fleet.leaving:
            return
        for slot in self._fleet.leaving[number].slots:
            if slot.free > now:
                self._work.lose(slot.request)
                self._plan(now + self._model.visibility_timeout, _BACK, slot.request)
        self._fleet.deaths += 1
        self._fleet.end(number, now)

    def _check_idle(self, number: int, now: float) -> None:
        """Leave if idle for long enough; those that are ready for longest stay, and remain those: no further check."""
        if number not in self._fleet.ready or number in islice(self._fleet.ready, self._staying):
            return
        until = max(slot.free for slot in self._work.slots(number)) + self._idle_timeout
        if until > now:
            self._plan(until, _IDLE, number)
        else:
            self.drain(number, now)
