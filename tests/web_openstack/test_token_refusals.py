"""Every endpoint over real HTTP, with every kind of token that does not open it, and with those that do."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode

import jwt
import pytest
from guarded import ANY, GUARDED, Site, check_refused
from keyed import serving
from loopback_issuer import ISSUED, MAKERS, part
from loopback_keystone import PROJECT
from trusting import auth_token, bearer, trusting

from web_openstack import audit
from web_openstack.callers import SCOPES

SCOPED = [place for place, scope in GUARDED.items() if scope != ANY]
FORGED = "A" * 86
"""A signature of ES256's length."""


def tampered(token):
    """Another payload under the old signature."""
    head, _, signature = token.split(".")
    return f"{head}.{part({'iss': 'me', 'tenant': 'acme', 'exp': 2e9})}.{signature}"


def signed_by_us(issuer):
    """HS256 with the issuer's public key as its secret, which PyJWT itself would not make."""
    signed = f"{part({'alg': 'HS256', 'kid': 'one', 'typ': 'JWT'})}.{part(issuer.claims())}"
    mac = hmac.new(issuer.pem(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"


JWTS = {
    "garbage": ("token_form", lambda issuer: "eyJnYXJi.YWdl.eyJ9"),
    "no signature": ("token_signature", lambda issuer: issuer.token().rpartition(".")[0] + "."),
    "a wrong signature": ("token_signature", lambda issuer: issuer.token().rpartition(".")[0] + "." + FORGED),
    "another payload": ("token_signature", lambda issuer: tampered(issuer.token())),
    "another's key": (
        "token_signature",
        lambda issuer: jwt.encode(issuer.claims(), MAKERS["ES256"](), "ES256", headers={"kid": "one"}),
    ),
    "a key of another kind": (
        "token_algorithm",
        lambda issuer: jwt.encode(issuer.claims(), MAKERS["RS256"](), "RS256", headers={"kid": "one"}),
    ),
    "an unknown key": (
        "token_key",
        lambda issuer: jwt.encode(issuer.claims(), MAKERS["ES256"](), "ES256", headers={"kid": "two"}),
    ),
    "no algorithm": (
        "token_algorithm",
        lambda issuer: f"{part({'alg': 'none', 'kid': 'one'})}.{part(issuer.claims())}.",
    ),
    "the public key as secret": ("token_algorithm", signed_by_us),
    "another issuer": ("token_issuer", lambda issuer: issuer.token(iss=issuer.url + "/")),
    "another audience": ("token_audience", lambda issuer: issuer.token(aud=["billing", "account"])),
    "no audience": ("token_claims", lambda issuer: issuer.token(aud=None)),
    "no end": ("token_claims", lambda issuer: issuer.token(exp=None)),
    "an end that is no time": ("token_claims", lambda issuer: issuer.token(exp="tomorrow")),
    "expired": ("token_expired", lambda issuer: issuer.token(exp=ISSUED - 60)),
    "not yet valid": ("token_early", lambda issuer: issuer.token(nbf=ISSUED + 60)),
    "made in the future": ("token_early", lambda issuer: issuer.token(iat=ISSUED + 60)),
}
"""Why it is refused, and how it is made."""
FORBIDDEN_JWTS = {
    "no tenant": ("tenant", {"tenant": None}),
    "a tenant that is none": ("tenant", {"tenant": "../acme"}),
    "two tenants": ("tenant", {"tenant": ["acme", "globex"]}),
    "no scope": ("scope", {"scope": None}),
    "scopes of others": ("scope", {"scope": "openid submit skylens:admin"}),
}
KEYSTONES = {
    "garbage": (401, "token_form", lambda keystone: "a token, another"),
    "unknown": (401, "token_unknown", lambda keystone: "gAAAAA" + "x" * 90),
    "a JWT": (401, "token_unknown", lambda keystone: "eyJhbGciOiJub25lIn0.e30."),
    "expired": (401, "token_expired", lambda keystone: keystone.issue("member", seconds=-60)),
    "with access rules": (
        401,
        "token_unknown",
        lambda keystone: keystone.issue("member", application_credential={"id": "c", "access_rules": []}),
    ),
    "of no project": (403, "tenant", lambda keystone: keystone.issue(project=None)),
    "without a role": (403, "scope", lambda keystone: keystone.issue()),
    "with a role for others": (403, "scope", lambda keystone: keystone.issue("load-balancer_member", "admin")),
}
"""Status and reason, and how it is made."""


@pytest.fixture
def tier(make_web, monkeypatch):
    monkeypatch.setattr(audit, "LINES", 10_000)
    with trusting(
        make_web, plain_wait_seconds=1, max_waits=16, keystone_roles="all=submit+read+delete+operate"
    ) as made:
        yield made


@pytest.fixture
def site(tier):
    with tier.web.answering(), serving(tier.web) as port:
        yield Site(tier.web, port, bearer(tier.issuer.token()), [])


def refused(site, place, shown, status, reason):
    """Asks, checks that it was refused, and that nothing of the token was logged or said."""
    (token,) = shown.values()
    site.secrets = [one for one in token.rpartition(".") if len(one) > 8]
    return check_refused(site, place, site.ask(*place, shown), status, reason)


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_no_endpoint_opens_to_a_bad_jwt(site, tier, place):
    for kind, (reason, make) in JWTS.items():
        assert refused(site, place, bearer(make(tier.issuer)), 401, reason), kind


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_no_endpoint_opens_to_a_good_jwt_that_says_too_little(site, tier, place):
    for kind, (reason, claims) in FORBIDDEN_JWTS.items():
        assert refused(site, place, bearer(tier.issuer.token(**claims)), 403, reason), kind


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_no_endpoint_opens_to_a_bad_token_of_keystone(site, tier, place):
    for kind, (status, reason, make) in KEYSTONES.items():
        assert refused(site, place, auth_token(make(tier.keystone)), status, reason), kind


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_no_endpoint_opens_to_nothing_and_says_what_to_send(site, place):
    told = check_refused(site, place, site.ask(*place, {}), 401, "no_key")
    assert told == (
        "send an API key or a token as: Authorization: Bearer <it>, or a Keystone token as: X-Auth-Token: <token>"
    )


@pytest.mark.parametrize("place", SCOPED, ids=" ".join)
def test_every_other_scope_together_is_not_enough(site, tier, place):
    others = " ".join(f"skylens:{scope}" for scope in SCOPES if scope != GUARDED[place])
    told = refused(site, place, bearer(tier.issuer.token(scope=others)), 403, "scope")
    assert f"lacks the scope {GUARDED[place]}" in told


@pytest.mark.parametrize(("place", "scope"), GUARDED.items(), ids=str)
def test_its_scope_alone_is_enough(site, tier, place, scope):
    for one in SCOPES if scope == ANY else (scope,):
        status, _, body, lines = site.ask(*place, bearer(tier.issuer.token(scope=f"openid skylens:{one}")))
        assert status in {200, 201, 202, 204}, body
        assert not [line for line in lines if line["event"] == "audit.denied"]


@pytest.mark.parametrize("place", [place for place in GUARDED if "{" in place[1]], ids=" ".join)
def test_what_is_another_tenants_is_not_there(site, tier, place):
    for shown in (bearer(tier.issuer.token(tenant="globex")), auth_token(tier.keystone.issue("all"))):
        status, _, body, _ = site.ask(*place, shown)
        assert (status, json.loads(body)["code"]) == (404, "not-found")
    assert site.ask(*place, bearer(tier.issuer.token()))[0] in {200, 201, 202, 204}


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_a_token_of_keystone_opens_what_its_project_owns(tier, place):
    shown = auth_token(tier.keystone.issue("reader", "all"))
    with tier.web.answering(), serving(tier.web) as port:
        status, _, body, lines = Site(tier.web, port, shown, []).ask(*place, shown)
    assert status in {200, 201, 202, 204}, body
    named = [line for line in lines if line["event"] == "http.request" and line["tenant"] == PROJECT]
    assert [line["key"] for line in named] == ["keystone-" + "u" * 32]
