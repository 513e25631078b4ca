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
    slots: int
    done: int


class Tally:
    """Slots taken and given back. Owns no thread; every method may be called from any."""

    def __init__(self, slots: int, clock: Clock) -> None:
        self._slots, self._clock = slots, clock
        self._changed = threading.Condition()
        self._in_flight = self._done = 0
        self._service_times: deque[float] = deque(maxlen=_KEPT)
        self._last_work = clock.ticks()

    def free(self, timeout: float) -> int:
        """How many slots are free, once one is; 0 when none got free within ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight < self._slots, timeout)
            return self._slots - self._in_flight

    def take(self, count: int) -> bool:
        """Take slots; True when the worker turned from idle to busy by it."""
        with self._changed:
            turned = self._in_flight == 0
            self._in_flight += count
            return turned

    def give_back(self, seconds: float | None) -> bool:
        """Free one slot after ``seconds`` of work (None: nothing was answered); True when the worker turned idle."""
        with self._changed:
            self._in_flight -= 1
            if seconds is not None:
                self._done += 1
                self._service_times.append(round(seconds, 4))
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
        """Seconds of work of each image answered since the last call."""
        with self._changed:
            found = tuple(self._service_times)
            self._service_times.clear()
            return found

    def settled(self, timeout: float) -> bool:
        """Whether nothing is in work, waiting at most ``timeout`` seconds for it."""
        with self._changed:
            return self._changed.wait_for(lambda: self._in_flight == 0, timeout)
