"""The audit: a line and a count for each request that was refused for who sent it or for how many they sent."""

import ipaddress
import threading
from collections import Counter
from dataclasses import dataclass, field

import falcon

from skylens import logs
from skylens.clock import Clock
from skylens.errors import SkylensError
from web_openstack.callers import Strategy
from web_openstack.keys import masked
from web_openstack.metrics import WebMetrics

log = logs.get(__name__)

DENIED = (401, 403, 429)
WINDOW, LINES, CLIENTS = 60.0, 5, 256
"""In so many seconds at most so many lines for each of so many clients; further clients count as one, ``others``.

A client is an address and a key that is known here: behind a balancer all have one address. IPv6's count by their /64.
"""
OTHERS = ("others", "")
PREFIX = 64


@dataclass
class Audit:
    """Middleware. A flood is counted, not written down: what was left out is said when its minute is over."""

    callers: Strategy
    metrics: WebMetrics
    clock: Clock
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter, init=False)
    _until: float = field(default=0.0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        del resp, resource, req_succeeded
        error: SkylensError | None = req.context.error
        if error is None or error.status not in DENIED:
            return
        self.metrics.denied.labels(error.reason).inc()
        key = self.callers.named(req.get_header)
        if not self._may_write((network(req.remote_addr), key)):
            return
        log.warning(
            "audit.denied",
            reason=error.reason,
            status=error.status,
            key=key,
            method=req.method,
            path=masked(req.path)[:200],
            client=req.remote_addr,
            request=req.context.id,
        )

    def flush(self) -> None:
        """Say what was left out, once its minute is over. Called by housekeeping, for the flood may have ended."""
        with self._lock:
            self._turn()

    def _may_write(self, client: tuple[str, str]) -> bool:
        with self._lock:
            self._turn()
            name = client if client in self._seen or len(self._seen) < CLIENTS else OTHERS
            self._seen[name] += 1
            return self._seen[name] <= LINES

    def _turn(self) -> None:
        if self.clock.ticks() < self._until:
            return
        for (client, key), count in self._seen.items():
            if count > LINES:
                log.warning("audit.left_out", client=client, key=key, lines=count - LINES)
        self._seen.clear()
        self._until = self.clock.ticks() + WINDOW


def network(client: str) -> str:
    """What one client may choose its address from: the address itself, or IPv6's /64."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    return str(ipaddress.ip_network((address.packed, PREFIX), strict=False)) if address.version == 6 else client  # noqa: PLR2004 - IPv6
