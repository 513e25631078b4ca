"""A real web process that takes the tokens of an issuer and of a Keystone, through both being away, and logs none."""

import time

import lone_web
import pytest
import requests
from loopback_issuer import AUDIENCE, serving_issuer
from loopback_keystone import PROJECT, serving_keystone

FAR = 1_000_000_000
"""Seconds of a token's life."""


@pytest.fixture
def issuer():
    with serving_issuer() as made:
        yield made


@pytest.fixture
def keystone():
    with serving_keystone() as made:
        yield made


@pytest.mark.system
def test_tokens_let_in_what_they_should_and_are_never_logged(start, pictures, issuer, keystone):
    issuer.script = [503]  # away when the process starts
    settings = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "keystone_url": keystone.url}
    words = [word for name, value in settings.items() for word in ("--set", f"web.{name}={value}")]
    cloud = start("--max", "1", "--boot", "0", "--set", "all.log_level=DEBUG", *words)
    now = int(time.time())
    member = keystone.issue("member", seconds=FAR)
    shown = {
        "jwt": {"Authorization": f"Bearer {issuer.token(iat=now, exp=now + 3600)}"},
        "expired": {"Authorization": f"Bearer {issuer.token(iat=now, exp=now - 3600)}"},
        "member": {"X-Auth-Token": member},
        "stranger": {"X-Auth-Token": "gAAAAA" + "z" * 90},
        "nothing": {},
    }
    name, data = pictures[0]

    def status(kind):
        return requests.get(f"{cloud.url}/v1/status", headers=shown[kind], timeout=60).status_code

    def post(kind):
        headers = {"Prefer": "wait=60", **shown[kind]}
        return requests.post(f"{cloud.url}/v1/images", files={"f": (name, data)}, headers=headers, timeout=90)

    cloud.wait(lambda: status("jwt") == 200, 60, "the issuer is asked again")
    for kind in ("jwt", "member"):
        answer = post(kind)
        assert (answer.status_code, answer.json()["name"]) == (200, name)
    assert [post(kind).status_code for kind in ("expired", "stranger", "nothing")] == [401] * 3
    mine = requests.post(f"{cloud.url}/v1/images", files={"f": (name, data)}, headers=shown["member"], timeout=90)
    assert (
        requests.get(cloud.url + mine.headers["Content-Location"], headers=shown["jwt"], timeout=60).status_code == 404
    )
    issuer.script, keystone.script = [503] * 50, [503] * 50
    assert [status(kind) for kind in ("jwt", "expired")] == [200, 401]
    assert requests.get(f"{cloud.url}/v1/status", headers={"X-Auth-Token": "new"}, timeout=60).status_code == 503
    records = cloud.records("web-1")
    denied = [line for line in records if line["event"] == "audit.denied"]
    assert {line["reason"] for line in denied} >= {"token_expired", "token_unknown", "no_key"}
    assert {line["key"] for line in denied} >= {"oidc-ada", ""}
    assert {line["tenant"] for line in records if line["event"] == "http.request"} >= {"acme", PROJECT}
    log = cloud.log("web-1")
    for headers in shown.values():
        for token in headers.values():
            assert token.removeprefix("Bearer ").rpartition(".")[2] not in log


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"OIDC_ISSUER": "https://idp.example"}, "set both, or neither"),
        ({"OIDC_ISSUER": "http://idp.example", "OIDC_AUDIENCE": "skylens"}, "must be https://"),
        ({"KEYSTONE_URL": "https://keystone.example:5000"}, "must be https://host:5000/v3"),
        (
            {"KEYSTONE_URL": "https://keystone.example/v3", "TOKENS_CA": "/nowhere.pem"},
            "SKYLENS_TOKENS_CA='/nowhere.pem'",
        ),
    ],
)
def test_a_web_process_does_not_start_with_half_of_the_settings(settings, said):
    status, told = lone_web.start(**settings)
    assert (status, told.count("\n")) == (2, 1), told
    assert said in told
