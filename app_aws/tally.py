"""How many images are in work, how many are done: counted once, asked by every thread."""

import threading
from collections import deque
from dataclasses import dataclass

from app_aws.pace import Pace
from skylens.clock import Clock

_KEPT = 2000
"""Most service times kept between two events."""


@dataclass(frozen=True)
class Count:
    in_flight: int
    """Received and not yet answered, or given up."""
    slots: int
    done: int


class Tally:
    """Slots taken and given back. Owns no thread; every method may be called from any.

    A received image waits for a slot, has it until it is recognised, and then its answer is stored and sent while the
    slot takes the next one. More than there are slots are received only at the pace at which they are worked on.
    """

    def __init__(self, slots: int, clock: Clock, held: int = 0) -> None:
        """``held``: most images in flight, with those that are being answered; at least, and by default, ``slots``."""
        self._slots, self._held, self._clock = slots, max(slots, held), clock
        self._changed = threading.Condition()
        self._in_flight = self._waiting = self._working = self._done = 0
        self._free_slots, self._pace = threading.Semaphore(slots), Pace()
        self._service_times: deque[float] = deque(maxlen=_KEPT)
        self._last_work = clock.ticks()

    @property
    def held(self) -> int:
        """Most images in flight."""
        return self._held

    def free(self, timeout: float) -> int:
        """How many images may be received, once they are worth a call; waits at most ``timeout`` seconds for that."""
        with self._changed:
            self._changed.wait_for(self._is_worth_a_call, timeout)
            return max(0, self._room())

    def _room(self) -> int:
        taken = self._waiting + self._working
        return min(self._slots + self._pace.ahead() - taken, self._held - self._in_flight)

    def _is_worth_a_call(self) -> bool:
        """One image is, while a slot is free; else half of what may wait: a call costs the same for one as for ten."""
        ahead = self._pace.ahead() if self._waiting + self._working >= self._slots else 0
        return self._room() >= max(1, ahead // 2)

    def take(self, count: int) -> bool:
        """So many were received; True when the worker turned from idle to busy by it."""
        with self._changed:
            turned = self._in_flight == 0
            self._in_flight += count
            self._waiting += count
            return turned

    def supplied(self, asked: int, found: int) -> None:
        """A receive brought ``found`` of ``asked``."""
        with self._changed:
            self._pace.supplied(asked, found)

    def enter(self) -> None:
        """Wait for a slot and take it, for one image that was received."""
        self._free_slots.acquire()
        with self._changed:
            self._waiting -= 1
            self._working += 1

    def leave(self, seconds: float | None) -> None:
        """Free one slot after ``seconds`` of work (None: it came to nothing); its image is still in flight."""
        with self._changed:
            self._working -= 1
            if seconds is not None:
                self._service_times.append(round(seconds, 4))
                self._pace.ended(self._clock.ticks())
            if self._is_worth_a_call():
                self._changed.notify_all()
        self._free_slots.release()

    def pressing(self) -> bool:
        """Whether images wait for a slot, so that others come after those that leave theirs now."""
        return self._waiting > 0

    def give_back(self, *, answered: bool) -> bool:
        """One image that has left its slot is in flight no more; True when the worker turned idle by it."""
        with self._changed:
            self._in_flight -= 1
            self._done += answered
            self._last_work = self._clock.ticks()
            if self._in_flight == 0 or self._is_worth_a_call():
                self._changed.notify_all()
            return self._in_flight == 0

    def touch(self) -> None:
        """Start the idle time anew: there may be work that just cannot be seen."""
        with self._changed:
            self._last_work = self._clock.ticks()

    def idle(self) -> float:
        """Seconds since there was work; 0 while there is."""
        with self._changed:
            return 0.0 if self._in_flight else self._clock.ticks() - self._last_work

    def count(self) -> Count:
        with self._changed:
            return Count(self._in_flight, self._slots, self._done)

    def take_service_times(self) -> tuple[float, ...]:
        """Seconds that each image had its slot, for those recognised since the last call."""
        with self._changed:
            found = tuple(self._service_times)
            self._service_times.clear()
            return found

    def settled(self, timeout: float) -> bool:
        """Whether nothing is in work, waiting at most ``timeout`` seconds for it."""
        with self._changed:
            return self._changed.wait_for(lambda: self._in_flight == 0, timeout)
