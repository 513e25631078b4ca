"""The audit: a line and a count for each request that was refused for who sent it or for how many they sent."""

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
"""In so many seconds at most so many lines for each of so many clients; further clients count as one, ``others``."""
OTHERS = "others"


@dataclass
class Audit:
    """Middleware. A flood is counted, not written down: what was left out is said when its minute is over."""

    callers: Strategy
    metrics: WebMetrics
    clock: Clock
    _seen: Counter[str] = field(default_factory=Counter, init=False)
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
        if not self._may_write(req.remote_addr):
            return
        log.warning(
            "audit.denied",
            reason=error.reason,
            status=error.status,
            key=self.callers.named(req.get_header),
            method=req.method,
            path=masked(req.path)[:200],
            client=req.remote_addr,
            request=req.context.id,
        )

    def flush(self) -> None:
        """Say what was left out, once its minute is over. Called by housekeeping, for the flood may have ended."""
        with self._lock:
            self._turn()

    def _may_write(self, client: str) -> bool:
        with self._lock:
            self._turn()
            name = client if client in self._seen or len(self._seen) < CLIENTS else OTHERS
            self._seen[name] += 1
            return self._seen[name] <= LINES

    def _turn(self) -> None:
        if self.clock.ticks() < self._until:
            return
        for client, count in self._seen.items():
            if count > LINES:
                log.warning("audit.left_out", client=client, lines=count - LINES)
        self._seen.clear()
        self._until = self.clock.ticks() + WINDOW
