"""How many images are in work, how many are done: counted once, asked by every thread."""

import threading
from collections import deque
from dataclasses import dataclass

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

    An image has a slot until it is recognised; then its answer is stored and sent, and the slot takes the next one.
    """

    def __init__(self, slots: int, clock: Clock, held: int = 0) -> None:
        """``held``: most images in flight, with those that are being answered; at least, and by default, ``slots``."""
        self._slots, self._held, self._clock = slots, max(slots, held), clock
        self._changed = threading.Condition()
        self._in_flight = self._working = self._done = 0
        self._service_times: deque[float] = deque(maxlen=_KEPT)
        self._last_work = clock.ticks()

    @property
    def held(self) -> int:
        """Most images in flight."""
        return self._held

    def free(self, timeout: float) -> int:
        """How many images may be received, once it is one; 0 when none got so within ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._room() > 0, timeout)
            return self._room()

    def _room(self) -> int:
        return min(self._slots - self._working, self._held - self._in_flight)

    def take(self, count: int) -> bool:
        """Take slots; True when the worker turned from idle to busy by it."""
        with self._changed:
            turned = self._in_flight == 0
            self._in_flight += count
            self._working += count
            return turned

    def leave(self, seconds: float | None) -> None:
        """Free one slot after ``seconds`` of work (None: it came to nothing); its image is still in flight."""
        with self._changed:
            self._working -= 1
            if seconds is not None:
                self._service_times.append(round(seconds, 4))
            self._changed.notify_all()

    def working(self) -> int:
        """How many slots are taken."""
        return self._working

    def give_back(self, *, answered: bool) -> bool:
        """One image that has left its slot is in flight no more; True when the worker turned idle by it."""
        with self._changed:
            self._in_flight -= 1
            self._done += answered
            self._last_work = self._clock.ticks()
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
