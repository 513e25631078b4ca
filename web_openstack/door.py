"""Who is at the door, and whether they may come in now: API keys, per-tenant limits, slots, predicted wait."""

import hashlib
import hmac
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import falcon
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from skylens.errors import TooManyRequestsError, UnauthorisedError
from web_openstack.admission import Admission, FleetBoard
from web_openstack.demand import DemandCounter

OPEN_TENANT = "default"


class Keys:
    """Accepted API keys, kept only as SHA-256; without any, everyone is the tenant ``default``."""

    def __init__(self, entries: Sequence[str]) -> None:
        """``entries``: ``tenant:sha256`` each."""
        self._entries = [tuple(entry.split(":")) for entry in entries]

    def tenants(self) -> tuple[str, ...]:
        """All whom a key may let in."""
        return tuple(sorted({tenant for tenant, _ in self._entries})) or (OPEN_TENANT,)

    def tenant(self, req: falcon.Request) -> str:
        """The tenant whose key the request carries. Raises UnauthorisedError. Takes as long for a wrong key."""
        if not self._entries:
            return OPEN_TENANT
        scheme, _, key = (req.get_header("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise UnauthorisedError("send your API key as: Authorization: Bearer <key>")
        digest = hashlib.sha256(key.strip().encode()).hexdigest()
        found = [tenant for tenant, known in self._entries if hmac.compare_digest(known, digest)]
        if not found:
            raise UnauthorisedError("this API key is not known here")
        return found[0]


class RateLimit:
    """Images per tenant and time; the limiter's own storage is not safe for threads, so one lock is around it."""

    def __init__(self, rate: str) -> None:
        """``rate``: such as ``100/second``; empty means no limit."""
        self._limit = parse(rate) if rate else None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._lock = threading.Lock()

    def hit(self, tenant: str) -> None:
        """Count an image of a tenant. Raises TooManyRequestsError above the limit, saying when there is room again."""
        if self._limit is None:
            return
        with self._lock:
            if self._limiter.hit(self._limit, tenant):
                return
            resets = self._limiter.get_window_stats(self._limit, tenant).reset_time
        wait = max(1, math.ceil(resets - time.time()))
        raise TooManyRequestsError(f"more than {self._limit} for this tenant", retry_after=wait)


class Door:
    """What every resource asks before it works. Owned by the app; shared by all request threads."""

    def __init__(
        self, keys: Keys, limit: RateLimit, admission: Admission, demand: DemandCounter, fleet: FleetBoard
    ) -> None:
        self._keys, self._limit, self._demand, self._fleet = keys, limit, demand, fleet
        self.admission = admission

    def tenant(self, req: falcon.Request) -> str:
        tenant = self._keys.tenant(req)
        req.context.tenant = tenant
        return tenant

    @contextmanager
    def admit(self, req: falcon.Request) -> Iterator[str]:
        """Let a new image in: its tenant, for as long as the request may block. Raises what the checks raise."""
        with self.admit_many(req) as tenant:
            self.charge(tenant)
            yield tenant

    @contextmanager
    def admit_many(self, req: falcon.Request) -> Iterator[str]:
        """Let a batch in; each of its images is to be charged."""
        tenant = self.tenant(req)
        with self.admission.slot():
            self.admission.check(self._demand.snapshot(), self._fleet.fresh())
            yield tenant

    def charge(self, tenant: str) -> None:
        """Count an image against the tenant's limit. Raises TooManyRequestsError."""
        self._limit.hit(tenant)

    @contextmanager
    def visit(self, req: falcon.Request) -> Iterator[tuple[str, bool]]:
        """Let someone ask for an answer: the tenant, and whether the request may wait for it."""
        tenant = self.tenant(req)
        with self.admission.visit() as may_wait:
            yield tenant, may_wait
