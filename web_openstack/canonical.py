"""The outermost middleware: request id, security headers, one wide log line and metrics per request."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import falcon

from skylens import logs
from web_openstack.audit import DENIED
from web_openstack.keys import masked
from web_openstack.metrics import WebMetrics

log = logs.get(__name__)

QUIET = ("/healthz", "/readyz", "/metrics", "/v1/status", "/internal/demand", "/internal/fleet")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}


def route(req: falcon.Request) -> str:
    """The request's route from the closed set of ``metrics.ROUTES``."""
    known = {
        "/v1/images": "images",
        "/v1/images/{job}": "image",
        "/v1/batches": "batches",
        "/v1/batches/{batch}": "batch",
        "/v1/uploads": "uploads",
        "/v1/status": "status",
    }
    if req.uri_template in known:
        return known[req.uri_template]
    return "plain" if req.method == "POST" else "other"


@dataclass(frozen=True)
class Canonical:
    metrics: WebMetrics
    new_id: Callable[[], str]

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = req.get_header("X-Request-ID") or ""
        req.context.id = given if _REQUEST_ID.fullmatch(given) else self.new_id()
        req.context.began = time.perf_counter()
        req.context.tenant = req.context.job = req.context.key = ""
        req.context.error = None
        resp.set_headers(HEADERS | {"X-Request-ID": req.context.id})

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        del resource, req_succeeded
        seconds = time.perf_counter() - req.context.began
        name = route(req)
        self.metrics.answered(name, str(resp.status_code), seconds)
        denied = req.context.error is not None and req.context.error.status in DENIED
        stranger = not req.context.tenant and resp.status_code in range(400, 500)  # who may write here without end
        quiet = denied or stranger or req.path in QUIET or req.path.startswith("/page/")
        emit = log.debug if quiet else log.info
        emit(
            "http.request",
            request=req.context.id,
            method=req.method,
            path=masked(req.path)[:200],
            status=resp.status_code,
            ms=round(seconds * 1000, 1),
            tenant=req.context.tenant,
            key=req.context.key,
            job=req.context.job,
            client=req.remote_addr,
        )
