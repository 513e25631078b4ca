"""Time as an argument: the real clock, and one that tests turn by hand."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Clock:
    """``now``: Unix seconds for stamps that leave the process; ``ticks``: monotonic seconds for durations."""

    now: Callable[[], float] = time.time
    ticks: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass
class FakeClock:
    """A clock that moves only when told; sleeping moves it."""

    time: float = 1_700_000_000.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        return self.time

    ticks = now

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.time += seconds

    def clock(self) -> Clock:
        return Clock(self.now, self.now, self.sleep)
