"""Every endpoint over real HTTP, with every kind of key that does not open it, and with the one scope that does."""

import json

import falcon.inspect
import pytest
import structlog
from keyed import DAY, NOW, Keys, ask, header, serving
from web_tier import multipart, picture

from web_openstack import audit
from web_openstack.app import create_app, create_internal_app
from web_openstack.callers import SCOPES

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
BAD = {
    "none": "send your API key as: Authorization: Bearer <key>",
    "wrong": "this API key is not known here",
    "revoked": "this API key is not known here",
    "expired": "this API key expired at 2023-11-13 22:13 UTC",
}
REASONS = {"none": "no_key", "wrong": "unknown_key", "revoked": "revoked_key", "expired": "expired_key"}


def routes(app):
    found = falcon.inspect.inspect_app(app)
    return {(one.method, route.path) for route in found.routes for one in route.methods if not one.internal}, found


def test_every_route_has_an_entry(web):
    served, app = routes(create_app(web.deps))
    assert served == set(ENDPOINTS)
    assert len(app.sinks) == 1, "the plain door's; another sink needs an entry in GUARDED"
    assert [route.prefix for route in app.static_routes] == ["/page/"], "the page's assets are open"
    assert routes(create_internal_app(web.deps))[0] == INTERNAL


class Site:
    """A served web tier with a key of each kind, and a job and a batch of the tenant acme."""

    def __init__(self, web, keys, port):
        self.web, self.keys, self.port = web, keys, port
        owner = header(keys.secrets["full"]) | {"Prefer": "respond-async"}
        job = json.loads(ask(port, "POST", "/v1/images", BODY, FORM | owner)[2])["id"]
        batch = json.loads(ask(port, "POST", "/v1/batches", BODY, FORM | owner)[2])["id"]
        self.named = {"{job}": job, "{batch}": batch}

    def ask(self, method, route, key):
        """Status, headers, body, and what was logged."""
        path = route
        for name, value in self.named.items():
            path = path.replace(name, value)
        body, kind = BODIES.get(route, (BODY, FORM)) if method == "POST" else (None, {})
        with structlog.testing.capture_logs() as lines:
            answer = ask(self.port, method, path, body, {**kind, **header(key), "Prefer": "respond-async"})
        return (*answer, lines)


@pytest.fixture(scope="module")
def keys():
    made = Keys()
    made.add("full")
    made.add("other", "globex")
    made.add("revoked", revoked=NOW)
    made.add("expired", expires=NOW - DAY)
    for scope in SCOPES:
        made.add(f"only {scope}", scopes=(scope,))
        made.add(f"all but {scope}", scopes=tuple(one for one in SCOPES if one != scope))
    made.secrets |= {"none": "", "wrong": "sk_" + made.id("full") + "_" + "0" * 64}
    return made


@pytest.fixture
def site(make_web, keys, monkeypatch):
    monkeypatch.setattr(audit, "LINES", 10_000)
    web = make_web(ring=lambda: keys.ring, plain_wait_seconds=1, max_waits=16)
    with web.answering(), serving(web) as port:
        yield Site(web, keys, port)


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
    for key in filter(None, site.keys.secrets.values()):
        assert key.split("_")[2] not in repr(lines) + detail
    return detail


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_no_endpoint_opens_to_a_bad_key(site, place):
    for kind, told in BAD.items():
        answer = site.ask(*place, site.keys.secrets[kind])
        assert check_refused(site, place, answer, 401, REASONS[kind]) == told


@pytest.mark.parametrize("place", [place for place, scope in GUARDED.items() if scope != ANY], ids=" ".join)
def test_every_other_scope_together_is_not_enough(site, place):
    scope = GUARDED[place]
    answer = site.ask(*place, site.keys.secrets[f"all but {scope}"])
    assert f"lacks the scope {scope}" in check_refused(site, place, answer, 403, "scope")


@pytest.mark.parametrize(("place", "scope"), GUARDED.items(), ids=str)
def test_its_scope_alone_is_enough(site, place, scope):
    for one in SCOPES if scope == ANY else (scope,):
        status, _, body, lines = site.ask(*place, site.keys.secrets[f"only {one}"])
        assert status in {200, 201, 202, 204}, body
        assert not [line for line in lines if line["event"] == "audit.denied"]


@pytest.mark.parametrize("place", [place for place in GUARDED if "{" in place[1]], ids=" ".join)
def test_what_is_another_tenants_is_not_there(site, place):
    status, _, body, _ = site.ask(*place, site.keys.secrets["other"])
    assert (status, json.loads(body)["code"]) == (404, "not-found")
    assert site.ask(*place, site.keys.secrets["full"])[0] in {200, 202, 204}


@pytest.mark.parametrize("place", [place for place, scope in ENDPOINTS.items() if scope == OPEN], ids=" ".join)
def test_what_is_open_asks_nobody(site, place):
    for key in ("", site.keys.secrets["wrong"]):
        assert site.ask(*place, key)[0] == 200


def test_the_pages_files_are_open(site):
    assert site.ask("GET", "/page/page.js", "")[0] == 200


def test_the_internal_address_asks_nobody(site):
    for path in ("/metrics", "/v1/status", "/internal/demand"):
        assert site.web.internal.simulate_get(path).status_code == 200
