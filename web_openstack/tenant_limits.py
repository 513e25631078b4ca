"""What a tenant may use: images per time, images a day, images unanswered. Counted by each web node for itself."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from skylens.clock import Clock
from skylens.errors import TooManyRequestsError
from web_openstack.keyring import Limits

DAY = 86400
_parsed = cache(parse)
NONE = Limits()


class TenantLimits:
    """The limiter's own storage is not safe for threads, so one lock is around everything."""

    def __init__(self, rate: str, own: Callable[[], Mapping[str, Limits]], clock: Clock) -> None:
        """``rate``: such as ``100/second``, for whoever has none of ``own``; empty means no limit."""
        self._rate, self._own, self._clock = rate, own, clock
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._lock = threading.Lock()
        self._today, self._counts = 0, dict[str, int]()

    def charge(self, tenant: str) -> None:
        """Count an image. Raises TooManyRequestsError above a limit, saying when there is room again."""
        limits = self._own().get(tenant, NONE)
        with self._lock:
            self._hit(limits.rate or self._rate, tenant)
            self._count(limits.per_day, tenant)

    def most_outstanding(self, tenant: str) -> int:
        """0: no limit."""
        return self._own().get(tenant, NONE).outstanding

    def _hit(self, rate: str, tenant: str) -> None:
        if not rate:
            return
        limit = _parsed(rate)
        if self._limiter.hit(limit, tenant):
            return
        resets = self._limiter.get_window_stats(limit, tenant).reset_time
        wait = max(1, math.ceil(resets - time.time()))
        raise TooManyRequestsError(f"more than {limit} for this tenant", retry_after=wait, reason="rate")

    def _count(self, most: int, tenant: str) -> None:
        now = self._clock.now()
        if int(now // DAY) != self._today:
            self._today, self._counts = int(now // DAY), {}
        if most and self._counts.get(tenant, 0) >= most:
            wait = max(1, math.ceil(DAY - now % DAY))
            detail = f"this tenant has sent its {most} images of today; the day ends at midnight UTC"
            raise TooManyRequestsError(detail, retry_after=wait, reason="per_day")
        self._counts[tenant] = self._counts.get(tenant, 0) + 1
