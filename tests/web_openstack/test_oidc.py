"""A JWT says who calls only as long as the issuer's signature, name and times say so, whatever else it holds."""

import base64
import json
import threading

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyed import ask, serving, until
from loopback_issuer import ISSUED, MAKERS, part
from trusting import bearer, trusting

from skylens.errors import ForbiddenError, SkylensError, UnauthorisedError
from web_openstack import tokens
from web_openstack.callers import SCOPES, Caller
from web_openstack.gate import Gate
from web_openstack.issuer import AGAIN
from web_openstack.oidc import LEEWAY, words

FULL = frozenset(SCOPES)


@pytest.fixture
def tier(make_web):
    with trusting(make_web) as made:
        yield made


@pytest.fixture
def callers(tier):
    """The strategy, once it has the issuer's keys."""
    known(tier, tier.issuer.token())
    return tier.web.deps.callers


def known(tier, token):
    """Wait for what a token has to wait for."""
    told = threading.Event()
    assert tier.web.deps.callers.ready(bearer(token).get, told.set) or told.wait(60)


def caller(callers, token):
    return callers.caller(bearer(token).get)


def refusal(callers, token):
    with pytest.raises(UnauthorisedError) as refused:
        caller(callers, token)
    return refused.value


def test_a_token_says_whose_it_is_and_what_it_may_do(tier, callers):
    token = tier.issuer.token(scope="openid skylens:read skylens:submit other")
    assert caller(callers, token) == Caller("acme", "oidc-ada", frozenset({"read", "submit"}))
    assert callers.named(bearer(token).get) == "oidc-ada"


@pytest.mark.parametrize("alg", MAKERS)
def test_each_algorithm_that_is_taken(make_web, alg):
    with trusting(make_web) as tier:
        known(tier, tier.issuer.token())
        tier.clock.sleep(AGAIN)
        tier.issuer.add("another", alg)
        token = tier.issuer.token("another")
        known(tier, token)
        assert caller(tier.web.deps.callers, token).tenant == "acme"


@pytest.mark.parametrize(
    ("claims", "reason", "told"),
    [
        ({"exp": ISSUED - LEEWAY}, "token_expired", "this token expired at 2023-11-14 22:13 UTC"),
        ({"exp": -1e300}, "token_expired", "this token expired long ago"),
        ({"nbf": ISSUED + LEEWAY + 1}, "token_early", "not valid yet"),
        ({"iat": ISSUED + LEEWAY + 1}, "token_early", "not valid yet"),
        ({"exp": True}, "token_claims", "must be numbers"),
        ({"exp": float("inf")}, "token_claims", "must be numbers"),
        ({"exp": float("nan")}, "token_claims", "must be numbers"),
        ({"nbf": "now"}, "token_claims", "must be numbers"),
        ({"exp": -(10**400)}, "token_expired", "this token expired long ago"),
        ({"iat": 10**400}, "token_early", "not valid yet"),
        ({"iat": [ISSUED]}, "token_claims", "must be numbers"),
        ({"iat": None}, "token_claims", "lacks one of the claims iss, aud, exp, iat, sub"),
        ({"sub": None}, "token_claims", "lacks one of the claims"),
        ({"sub": 5}, "token_form", tokens.UNKNOWN),
        ({"aud": "skylens2"}, "token_audience", "for another audience"),
        ({"aud": []}, "token_claims", "lacks one of the claims"),
        ({"aud": ["skylens", 5]}, "token_audience", "for another audience"),
        ({"iss": "https://idp.example"}, "token_issuer", "of another issuer"),
    ],
    ids=repr,
)
def test_the_holder_of_a_signed_token_is_told_what_is_wrong_with_it(tier, callers, claims, reason, told):
    found = refusal(callers, tier.issuer.token(**claims))
    assert found.reason == reason
    assert told in found.detail


@pytest.mark.parametrize("claims", [{"exp": ISSUED - LEEWAY + 1}, {"nbf": ISSUED + LEEWAY}, {"iat": ISSUED + 0.5}])
def test_clocks_may_differ_a_little(tier, callers, claims):
    assert caller(callers, tier.issuer.token(**claims)).tenant == "acme"


def test_a_token_expires_at_its_moment_while_the_process_runs(tier, callers):
    token = tier.issuer.token()
    tier.clock.sleep(3600 + LEEWAY - 1)
    assert caller(callers, token)
    tier.clock.sleep(1)
    assert refusal(callers, token).reason == "token_expired"
    assert callers.named(bearer(token).get) == "oidc-ada"


def test_an_unsigned_token_is_told_nothing_and_named_by_its_hash(tier, callers):
    head, payload, _ = tier.issuer.token(sub="root", exp=1).split(".")
    token = f"{head}.{payload}.{'A' * 86}"
    assert refusal(callers, token).detail == tokens.UNKNOWN
    assert callers.named(bearer(token).get) == tokens.fingerprint(token) != tokens.fingerprint(token + "A")


def test_a_subject_is_no_way_into_the_log(tier, callers):
    assert caller(callers, tier.issuer.token(sub="x\n\x1b[2J" + "y" * 500)).key == "oidc-x___2J" + "y" * 58


def test_claims_may_have_other_names_and_scopes_other_words(make_web):
    with trusting(
        make_web,
        oidc_tenant_claim="https://skylens.example/tenant",
        oidc_scope_claim="roles",
        oidc_scopes="uploader=submit+read operator=operate",
    ) as tier:
        token = tier.issuer.token(**{"https://skylens.example/tenant": "globex", "roles": ["uploader", "operator", 5]})
        known(tier, token)
        found = caller(tier.web.deps.callers, token)
        assert (found.tenant, found.scopes) == ("globex", frozenset({"submit", "read", "operate"}))


@pytest.mark.parametrize("tenant", [None, "", "Acme", "a/b", "..", "acme\n", "a" * 64, 5, ["acme"], {"acme": 1}, True])
def test_a_tenant_is_as_those_of_keys_are(tier, callers, tenant):
    with pytest.raises(ForbiddenError, match="names no tenant") as refused:
        caller(callers, tier.issuer.token(tenant=tenant))
    assert refused.value.reason == "tenant"


@pytest.mark.parametrize(
    ("claim", "found"),
    [("a b  c", ["a", "b", "c"]), (["a b", "c", 5], ["a b", "c"]), (None, []), (5, []), ({"a": 1}, []), ("", [])],
)
def test_words_of_a_scope_claim(claim, found):
    assert words(claim) == found


def test_keys_are_rotated_at_the_issuer_without_a_restart_and_without_a_refusal(tier):
    with serving(tier.web) as port:
        old = tier.issuer.token()
        assert ask(port, "GET", "/v1/status", headers=bearer(old))[0] == 200
        tier.clock.sleep(AGAIN)
        tier.issuer.add("two", "RS256")
        assert ask(port, "GET", "/v1/status", headers=bearer(tier.issuer.token("two")))[0] == 200
        assert ask(port, "GET", "/v1/status", headers=bearer(old))[0] == 200
        tier.issuer.listed.pop(0)
        tier.issuer.add("three", "EdDSA")
        tier.clock.sleep(AGAIN)
        assert ask(port, "GET", "/v1/status", headers=bearer(tier.issuer.token("three")))[0] == 200
        assert ask(port, "GET", "/v1/status", headers=bearer(old))[0] == 401


def test_a_flood_of_unknown_keys_is_one_question_to_the_issuer(tier):
    with serving(tier.web) as port:
        assert ask(port, "GET", "/v1/status", headers=bearer(tier.issuer.token()))[0] == 200
        tier.clock.sleep(AGAIN)
        before = len(tier.issuer.asked)
        for number in range(50):
            token = f"{part({'alg': 'ES256', 'kid': f'k{number}'})}.{part({})}.{'A' * 86}"
            assert ask(port, "GET", "/v1/status", headers=bearer(token))[0] == 401
        assert len(tier.issuer.asked) == before + 2


def test_an_issuer_away_at_the_start_keeps_no_key_out_and_lets_tokens_come_again(make_web):
    with trusting(make_web, first=[503]) as tier, serving(tier.web) as port:
        key, token = tier.keys.add("full"), tier.issuer.token()
        status, headers, _ = ask(port, "GET", "/v1/status", headers=bearer(token))
        assert (status, headers["Retry-After"]) == (503, f"{AGAIN:g}")
        assert ask(port, "GET", "/v1/status", headers=bearer(key))[0] == 200
        tier.clock.sleep(AGAIN)
        assert ask(port, "GET", "/v1/status", headers=bearer(token))[0] == 200


def test_an_issuer_that_dies_later_changes_nothing_for_keys_that_are_known(tier, callers):
    tier.issuer.script = [500] * 100
    tier.clock.sleep(AGAIN)
    unknown = f"{part({'alg': 'ES256', 'kid': 'new'})}.{part({})}.{'A' * 86}"
    known(tier, unknown)
    assert refusal(callers, unknown).reason == "token_key"
    assert caller(callers, tier.issuer.token()).tenant == "acme"


def test_a_slow_issuer_holds_up_nobody_else(tier):
    key, held = tier.keys.add("full"), threading.Event()
    with serving(tier.web) as port:
        good = tier.issuer.token()
        assert ask(port, "GET", "/v1/status", headers=bearer(good))[0] == 200
        tier.clock.sleep(AGAIN)
        tier.issuer.script = [held]
        tier.issuer.add("two")
        late, answers = tier.issuer.token("two"), []
        waiting = [
            threading.Thread(target=lambda: answers.append(ask(port, "GET", "/v1/status", headers=bearer(late))[0]))
            for _ in range(20)
        ]
        for thread in waiting:
            thread.start()
        until(lambda: not tier.issuer.script)
        for shown in (bearer(good), bearer(key)):
            assert ask(port, "GET", "/v1/status", headers=shown)[0] == 200
        assert answers == []
        held.set()
        for thread in waiting:
            thread.join(60)
    assert answers == [200] * 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
PARTS = st.binary(max_size=60) | JSON.map(lambda one: json.dumps(one).encode())
HEADS = st.fixed_dictionaries(
    {"alg": st.sampled_from(["ES256", "HS256", "none", "RS256", ""]) | JSON},
    optional={"kid": st.just("one") | JSON, "crit": JSON, "b64": JSON, "jwk": JSON, "jku": JSON, "x5c": JSON},
).map(lambda one: json.dumps(one).encode())


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@given(head=HEADS | PARTS, payload=PARTS, signature=st.binary(max_size=80))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_garbage_is_a_token_or_a_crash(callers, head, payload, signature):
    token = ".".join(map(encoded, (head, payload, signature)))
    with pytest.raises(SkylensError) as refused:
        caller(callers, token)
    assert refused.value.status == 401
    callers.named(bearer(token).get)


@given(
    claims=st.dictionaries(st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "sub", "tenant", "scope", "jti"]), JSON)
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_a_signed_token_says_it_is_refused_or_known(tier, callers, claims):
    token = tier.issuer.token(**claims)
    verdict = Gate(callers).verdict(bearer(token).get)
    assert verdict.scopes <= FULL if isinstance(verdict, Caller) else verdict.status in {401, 403}
    callers.named(bearer(token).get)


def test_a_header_of_a_hundred_thousand_brackets_is_no_crash(callers):
    deep = encoded(b'{"alg":' + b"[" * 2500 + b"]" * 2500 + b"}")
    assert refusal(callers, f"{deep}.{deep}.AAAA").reason in {"token_form", "unknown_key"}


def test_a_token_is_never_logged(tier, callers):
    token = tier.issuer.token()
    with structlog.testing.capture_logs() as lines:
        for shown in (token, token[:-4] + "AAAA"):
            tier.web.client.simulate_get(f"/v1/images/{shown}", headers=bearer(shown))
    assert len(lines) >= 3
    assert not [one for one in token.split(".") if one in repr(lines)]
