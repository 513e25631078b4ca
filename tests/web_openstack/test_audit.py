"""Each refusal leaves a line and a count, a flood a few lines and a number, and none of them a secret."""

import pytest
import structlog
from keyed import DAY, NOW, Keys, header
from web_tier import picture

from web_openstack import audit
from web_openstack.keyring import Limits

PNG = {"Content-Type": "image/png", "Prefer": "respond-async"}


@pytest.fixture
def keys():
    made = Keys()
    made.add("full")
    made.add("reader", scopes=("read",))
    made.add("revoked", revoked=NOW)
    made.add("expired", expires=NOW - DAY)
    return made


@pytest.fixture
def web(make_web, keys):
    return make_web(ring=lambda: keys.ring)


def post(web, key, **more):
    return web.client.simulate_post("/v1/images", body=picture(), headers=PNG | header(key), **more)


def denied(lines):
    return [line for line in lines if line["event"].startswith("audit.")]


def count(web, reason):
    return web.deps.metrics.registry.get_sample_value("skylens_web_denied_total", {"reason": reason})


@pytest.mark.parametrize(
    ("name", "reason", "status"),
    [
        ("", "no_key", 401),
        ("unknown", "unknown_key", 401),
        ("revoked", "revoked_key", 401),
        ("expired", "expired_key", 401),
        ("reader", "scope", 403),
    ],
)
def test_a_refusal_is_written_down_with_all_that_is_known_and_no_secret(web, keys, name, reason, status):
    key = keys.secrets.get(name, name and "sk_00000000_" + "0" * 64)
    with structlog.testing.capture_logs() as lines:
        answer = post(web, key, remote_addr="192.0.2.7")
    assert denied(lines) == [
        {
            "event": "audit.denied",
            "log_level": "warning",
            "reason": reason,
            "status": status,
            "key": keys.id(name) if name in keys.secrets else "",
            "method": "POST",
            "path": "/v1/images",
            "client": "192.0.2.7",
            "request": answer.headers["X-Request-ID"],
        }
    ]
    assert count(web, reason) == 1
    assert [line["log_level"] for line in lines if line["event"] == "http.request"] == ["debug"]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(Limits(rate="1/hour"), "rate"), (Limits(per_day=1), "per_day"), (Limits(outstanding=1), "outstanding")],
)
def test_a_tenants_limit_is_written_down_with_its_key(web, keys, limits, reason):
    keys.ring = keys.ring.limiting("acme", limits)
    assert post(web, keys.secrets["full"]).status_code == 202
    with structlog.testing.capture_logs() as lines:
        assert post(web, keys.secrets["full"]).status_code == 429
    (line,) = denied(lines)
    assert (line["reason"], line["status"], line["key"]) == (reason, 429, keys.id("full"))


def test_the_plain_door_is_audited_too(web):
    with structlog.testing.capture_logs() as lines:
        assert web.client.simulate_post("/anything", body=b"x").status_code == 401
    assert [line["path"] for line in denied(lines)] == ["/anything"]


def test_other_refusals_are_none_of_its_business(web, keys):
    with structlog.testing.capture_logs() as lines:
        assert web.client.simulate_get("/nothing/here").status_code == 404
        assert web.client.simulate_get("/v1/images/x", headers=header(keys.secrets["full"])).status_code == 404
        assert web.client.simulate_put("/healthz").status_code == 405
    assert denied(lines) == []


def test_a_key_in_the_path_is_masked_in_every_line(web, keys):
    key = keys.secrets["full"]
    with structlog.testing.capture_logs() as lines:
        web.client.simulate_get(f"/v1/images/{key}")
        web.client.simulate_get(f"/v1/images/{key}", headers=header(key))
    assert len(lines) >= 3
    assert key.split("_")[2] not in repr(lines)


def test_a_mistake_of_ours_is_written_down_without_the_key_in_its_path(web, keys):
    class Broken:
        def on_get(self, req, resp, what):
            raise ZeroDivisionError

    web.client.app.add_route("/broken/{what}", Broken())
    with structlog.testing.capture_logs() as lines:
        assert web.client.simulate_get(f"/broken/{keys.secrets['full']}{'x' * 300}").status_code == 500
    (line,) = [line for line in lines if line["event"] == "http.bug"]
    assert keys.secrets["full"].split("_")[2] not in line["path"]
    assert len(line["path"]) <= 200


def test_a_flood_is_a_few_lines_then_a_number(web):
    with structlog.testing.capture_logs() as lines:
        for _ in range(500):
            web.client.simulate_get("/v1/status", remote_addr="192.0.2.7")
        web.client.simulate_get("/v1/status", remote_addr="192.0.2.8")
        web.deps.audit.flush()
    assert [line["client"] for line in denied(lines)] == ["192.0.2.7"] * audit.LINES + ["192.0.2.8"]
    assert count(web, "no_key") == 501
    web.clock.sleep(audit.WINDOW)
    with structlog.testing.capture_logs() as lines:
        web.deps.audit.flush()
        web.deps.audit.flush()
    assert [(line["event"], line["client"], line["lines"]) for line in lines] == [
        ("audit.left_out", "192.0.2.7", 500 - audit.LINES)
    ]


def test_behind_a_balancer_a_flood_without_keys_hides_no_key_that_is_refused(web, keys):
    with structlog.testing.capture_logs() as lines:
        for _ in range(100):
            web.client.simulate_get("/v1/status", remote_addr="10.76.0.5")
        web.client.simulate_get("/v1/status", remote_addr="10.76.0.5", headers=header(keys.secrets["revoked"]))
    assert [line["key"] for line in denied(lines)] == [""] * audit.LINES + [keys.id("revoked")]


def test_a_client_that_changes_its_address_within_its_network_is_one(web):
    with structlog.testing.capture_logs() as lines:
        for number in range(100):
            web.client.simulate_get("/v1/status", remote_addr=f"2001:db8:0:7::{number:x}")
        web.client.simulate_get("/v1/status", remote_addr="2001:db8:0:8::1")
    assert len(denied(lines)) == audit.LINES + 1
    assert denied(lines)[-1]["client"] == "2001:db8:0:8::1"


def test_a_flood_from_many_addresses_shares_what_is_left(web, monkeypatch):
    monkeypatch.setattr(audit, "CLIENTS", 3)
    with structlog.testing.capture_logs() as lines:
        for number in range(100):
            web.client.simulate_get("/v1/status", remote_addr=f"192.0.2.{number}")
        web.clock.sleep(audit.WINDOW)
        web.client.simulate_get("/v1/status", remote_addr="192.0.2.99")
    events = [(line["event"], line["client"]) for line in denied(lines)]
    assert len([event for event, _ in events if event == "audit.denied"]) == 3 + audit.LINES + 1
    assert events[-2:] == [("audit.left_out", "others"), ("audit.denied", "192.0.2.99")]
    assert denied(lines)[-2]["lines"] == 97 - audit.LINES


def test_without_keys_nothing_is_denied(make_web):
    web = make_web()
    with structlog.testing.capture_logs() as lines:
        for path in ("/v1/status", "/metrics", "/healthz"):
            assert web.client.simulate_get(path).status_code == 200
        assert post(web, "").status_code == 202
    assert denied(lines) == []
