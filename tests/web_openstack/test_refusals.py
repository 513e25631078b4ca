"""Every endpoint over real HTTP, with every kind of key that does not open it, and with the one scope that does."""

import json

import falcon.inspect
import pytest
from guarded import ANY, ENDPOINTS, GUARDED, INTERNAL, OPEN, Site, check_refused
from keyed import DAY, NOW, Keys, header, serving

from web_openstack import audit
from web_openstack.app import create_app, create_internal_app
from web_openstack.callers import SCOPES

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
        secrets = [key.split("_")[2] for key in filter(None, keys.secrets.values())]
        yield Site(web, port, header(keys.secrets["full"]), secrets)


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_no_endpoint_opens_to_a_bad_key(site, keys, place):
    for kind, told in BAD.items():
        answer = site.ask(*place, keys.secrets[kind])
        assert check_refused(site, place, answer, 401, REASONS[kind]) == told


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_the_key_comes_before_whatever_else_is_wrong(site, place):
    method, route = place
    answer = site.ask(method, f"{route}?top=none&wait=long", "")
    check_refused(site, place, answer, 401, "no_key")
    assert "Preference-Applied" not in answer[1]


@pytest.mark.parametrize("place", [place for place, scope in GUARDED.items() if scope != ANY], ids=" ".join)
def test_every_other_scope_together_is_not_enough(site, keys, place):
    scope = GUARDED[place]
    answer = site.ask(*place, keys.secrets[f"all but {scope}"])
    assert f"lacks the scope {scope}" in check_refused(site, place, answer, 403, "scope")


@pytest.mark.parametrize(("place", "scope"), GUARDED.items(), ids=str)
def test_its_scope_alone_is_enough(site, keys, place, scope):
    for one in SCOPES if scope == ANY else (scope,):
        status, _, body, lines = site.ask(*place, keys.secrets[f"only {one}"])
        assert status in {200, 201, 202, 204}, body
        assert not [line for line in lines if line["event"] == "audit.denied"]


@pytest.mark.parametrize("place", [place for place in GUARDED if "{" in place[1]], ids=" ".join)
def test_what_is_another_tenants_is_not_there(site, keys, place):
    status, _, body, _ = site.ask(*place, keys.secrets["other"])
    assert (status, json.loads(body)["code"]) == (404, "not-found")
    assert site.ask(*place, keys.secrets["full"])[0] in {200, 202, 204}


@pytest.mark.parametrize("place", [place for place, scope in ENDPOINTS.items() if scope == OPEN], ids=" ".join)
def test_what_is_open_asks_nobody(site, keys, place):
    for key in ("", keys.secrets["wrong"]):
        assert site.ask(*place, key)[0] == 200


def test_the_pages_files_are_open(site):
    assert site.ask("GET", "/page/page.js", "")[0] == 200


def test_the_internal_address_asks_nobody(site):
    for path in ("/metrics", "/v1/status", "/internal/demand"):
        assert site.web.internal.simulate_get(path).status_code == 200
