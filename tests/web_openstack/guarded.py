"""Every endpoint with the scope that it needs, a served web tier to ask them of, and what a refusal must look like."""

import json

import structlog
from keyed import ask, header
from web_tier import multipart, picture

BODY, FORM = multipart(("file", "a.png", picture()))
ANNOUNCED = {"content_type": "image/png", "size": 5, "sha256": "0" * 64}
BODIES = {"/v1/uploads": (json.dumps(ANNOUNCED), {"Content-Type": "application/json"})}
OPEN, ANY = "open", "any"
ENDPOINTS = {
    ("POST", "/v1/images"): "submit",
    ("POST", "/v1/uploads"): "submit",
    ("GET", "/v1/images/{job}"): "read",
    ("DELETE", "/v1/images/{job}"): "delete",
    ("POST", "/v1/batches"): "submit",
    ("GET", "/v1/batches/{batch}"): "read",
    ("GET", "/v1/status"): ANY,
    ("GET", "/metrics"): "operate",
    ("POST", "/"): "submit",
    ("GET", "/"): OPEN,
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/openapi.json"): OPEN,
}
"""By method and route: the scope that it needs. A new route needs an entry here."""
INTERNAL = {("GET", "/internal/demand"), ("PUT", "/internal/fleet"), ("GET", "/v1/status"), ("GET", "/metrics")}
"""Served without a key, on the internal address."""
GUARDED = {place: scope for place, scope in ENDPOINTS.items() if scope != OPEN} | {("POST", "/any/free/path"): "submit"}


class Site:
    """A served web tier, and a job and a batch of whom ``owner``'s headers show. ``secrets``: no log may have them."""

    def __init__(self, web, port, owner, secrets):
        self.web, self.port, self.secrets = web, port, secrets
        owner = owner | {"Prefer": "respond-async"}
        job = json.loads(ask(port, "POST", "/v1/images", BODY, FORM | owner)[2])["id"]
        batch = json.loads(ask(port, "POST", "/v1/batches", BODY, FORM | owner)[2])["id"]
        self.named = {"{job}": job, "{batch}": batch}

    def ask(self, method, route, shown):
        """Status, headers, body, and what was logged. ``shown``: a key, or headers."""
        path = route
        for name, value in self.named.items():
            path = path.replace(name, value)
        body, kind = BODIES.get(route, (BODY, FORM)) if method == "POST" else (None, {})
        with structlog.testing.capture_logs() as lines:
            answer = ask(
                self.port,
                method,
                path,
                body,
                {**kind, **(header(shown) if isinstance(shown, str) else shown), "Prefer": "respond-async"},
            )
        return (*answer, lines)


def check_refused(site, place, answer, status, reason):
    """A problem document (the plain door: a sentence), audited once, without a secret anywhere."""
    found, headers, body, lines = answer
    assert found == status, body
    if place[1] in {"/", "/any/free/path"}:
        assert headers["Content-Type"].startswith("text/plain")
        detail = body.decode()
    else:
        assert headers["Content-Type"] == "application/problem+json"
        problem = json.loads(body)
        assert (problem["status"], problem["code"]) == (status, {401: "unauthorised", 403: "forbidden"}[status])
        detail = problem["detail"]
    assert (headers["WWW-Authenticate"] == 'Bearer realm="skylens"') is (status == 401)
    (line,) = [line for line in lines if line["event"] == "audit.denied"]
    assert (line["reason"], line["status"], line["request"]) == (reason, status, headers["X-Request-ID"])
    for secret in site.secrets:
        assert secret not in repr(lines) + detail
    return detail
