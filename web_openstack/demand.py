"""Counts what this web node took in and answered, second by second: demand is counted, not guessed."""

import threading
from collections import Counter, deque
from collections.abc import Callable

from skylens.clock import Clock
from skylens.messages import LONGEST_WORK, Demand
from web_openstack.fairness import Standing

SECONDS = 120
"""How many one-second buckets are kept."""
SERVICE_TIMES = 200


class DemandCounter:
    """Owned by the web process; every request thread and the reply thread write to it under one lock.

    It dies with its process: what was outstanding then is known only to SQS, which is why the autoscaler looks at
    ``started`` and falls back to SQS's counts for a while.
    """

    def __init__(self, node: str, clock: Clock) -> None:
        self._node, self._clock = node, clock
        self._started = clock.now()
        self._lock = threading.Lock()
        self._outstanding: dict[tuple[str, str], float] = {}
        self._by_tenant: Counter[str] = Counter()
        self._arrivals = deque([0] * SECONDS, SECONDS)
        self._completions = deque([0] * SECONDS, SECONDS)
        self._second = int(clock.ticks())
        self._service: deque[float] = deque(maxlen=SERVICE_TIMES)

    def accepted(self, job: str, tenant: str, judge: Callable[[Standing], None] = lambda _: None) -> bool:
        """Count an image as taken in; False when it is counted already, for the same job counts once.

        Nothing is counted when ``judge`` raises; it is called under the lock, so that of many at once not one too many
        is taken in, and must not block.
        """
        with self._lock:
            self._turn()
            if (job, tenant) in self._outstanding:
                return False
            judge(self._standing(tenant))
            self._outstanding[job, tenant] = self._clock.ticks()
            self._by_tenant[tenant] += 1
            self._arrivals[-1] += 1
            return True

    def standing(self, tenant: str) -> Standing:
        """Of unanswered images, how many the tenant has, how many there are, and of how many tenants."""
        with self._lock:
            return self._standing(tenant)

    def _standing(self, tenant: str) -> Standing:
        own = self._by_tenant[tenant]
        return Standing(own, len(self._outstanding), len(self._by_tenant) + (not own))

    def withdrawn(self, job: str, tenant: str) -> None:
        """The image could not be taken in after all."""
        with self._lock:
            self._turn()
            taken = self._pop(job, tenant)
            if taken is not None and int(taken) == self._second:
                self._arrivals[-1] -= 1

    def answered(self, job: str, tenant: str, service: float | None = None) -> bool:
        """Count an image as answered; False when it was not outstanding (a repeat, or another process's).

        ``service``: seconds of work that the reply reports.
        """
        with self._lock:
            self._turn()
            if self._pop(job, tenant) is None:
                return False
            self._completions[-1] += 1
            if service is not None:
                self._service.append(min(LONGEST_WORK, max(0.0, service)))  # a worker's clock may be wrong
            return True

    def _pop(self, job: str, tenant: str) -> float | None:
        """Ticks at which it was taken in; None when that tenant's job is not outstanding."""
        taken = self._outstanding.pop((job, tenant), None)
        if taken is not None:
            self._by_tenant[tenant] -= 1
            if not self._by_tenant[tenant]:
                del self._by_tenant[tenant]
        return taken

    def is_outstanding(self, job: str, tenant: str) -> bool:
        """Whether that tenant's job is unanswered."""
        with self._lock:
            return (job, tenant) in self._outstanding

    def outstanding(self) -> int:
        with self._lock:
            return len(self._outstanding)

    def older_than(self, seconds: float) -> list[tuple[str, str]]:
        """Job and tenant of what is outstanding for longer than ``seconds``, oldest first."""
        with self._lock:
            before = self._clock.ticks() - seconds
            return [place for place, since in self._outstanding.items() if since <= before]

    def snapshot(self) -> Demand:
        with self._lock:
            self._turn()
            oldest = next(iter(self._outstanding.values()), None)
            return Demand(
                node=self._node,
                at=self._clock.now(),
                started=self._started,
                arrivals=tuple(self._arrivals),
                completions=tuple(self._completions),
                outstanding=len(self._outstanding),
                oldest=0.0 if oldest is None else self._clock.ticks() - oldest,
                service_times=tuple(self._service),
            )

    def _turn(self) -> None:
        """Open a bucket for each second that has begun since the last call."""
        second = int(self._clock.ticks())
        for _ in range(min(second - self._second, SECONDS)):
            self._arrivals.append(0)
            self._completions.append(0)
        self._second = second
