"""So many at work at once; whoever comes then waits, and tenants go in turn."""

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager


class Berths:
    """Shared by threads, which wait here for as long as others are at work.

    The next one is of the tenant that has the fewest at work; of several such, of the one that waits for the longest
    since it came or had a turn; of one tenant, in the order in which they came.
    """

    def __init__(self, most: int) -> None:
        """``most``: how many at once."""
        self._free, self._lock = most, threading.Lock()
        self._own = Counter[str]()
        self._waiting: dict[str, deque[threading.Event]] = {}

    @contextmanager
    def hold(self, tenant: str) -> Iterator[None]:
        """Wait for a turn, and be at work until the end of the block."""
        mine = threading.Event()
        with self._lock:
            self._waiting.setdefault(tenant, deque()).append(mine)
            self._call_next()
        mine.wait()
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
                self._own[tenant] -= 1
                if not self._own[tenant]:
                    del self._own[tenant]
                self._call_next()

    def _call_next(self) -> None:
        while self._free and self._waiting:
            tenant = min(self._waiting, key=self._own.__getitem__)
            queue = self._waiting.pop(tenant)
            queue.popleft().set()
            if queue:
                self._waiting[tenant] = queue  # behind the others
            self._free -= 1
            self._own[tenant] += 1
