"""How long to leave AWS alone after it failed."""

import random
import threading
from collections.abc import Callable

_FIRST, _MOST = 0.5, 10.0


class Backoff:
    """Grows with each trouble in a row, up to 10 seconds, with jitter so that a fleet does not return as one."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        """``chance``: a random number in 0-1."""
        self._chance = chance
        self._lock = threading.Lock()
        self._troubles = 0

    def trouble(self) -> None:
        with self._lock:
            self._troubles += 1

    def well(self) -> None:
        with self._lock:
            self._troubles = 0

    def seconds(self) -> float:
        """0 when all is well."""
        with self._lock:
            if not self._troubles:
                return 0.0
            return min(_MOST, _FIRST * 2.0 ** min(self._troubles - 1, 10)) * (0.5 + self._chance() / 2)
