"""Keystone's word on a token counts for a minute at most, is asked for once, and is never made up."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyed import until
from loopback_keystone import ISSUED, PROJECT, serving_keystone
from trusting import auth_token

from skylens.clock import FakeClock
from skylens.errors import ForbiddenError, SkylensError, UnauthorisedError, UnavailableError
from web_openstack import keystone as module
from web_openstack import tokens
from web_openstack.callers import Caller
from web_openstack.fetch import Answer, HttpFetch
from web_openstack.grants import Grants
from web_openstack.keystone import AWAY, BAD, GOOD, KeystoneTokens

GRANTS = Grants(("member=submit+read+delete", "reader=read"))
NAME = "keystone-" + "u" * 32


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def keystone():
    with serving_keystone() as made:
        yield made


@pytest.fixture
def helpers():
    with ThreadPoolExecutor(4) as made:
        yield made


@pytest.fixture
def callers(keystone, clock, helpers):
    return KeystoneTokens(keystone.url, HttpFetch(""), GRANTS, clock.clock(), helpers)


def caller(callers, token):
    """Who shows a token, once Keystone was asked."""
    told, header = threading.Event(), auth_token(token).get
    assert callers.ready(header, told.set) or told.wait(60)
    return callers.caller(header)


def refusal(callers, token, kind=UnauthorisedError):
    with pytest.raises(kind) as refused:
        caller(callers, token)
    return refused.value


def test_a_tokens_project_is_the_tenant_and_its_roles_are_scopes(keystone, callers):
    token = keystone.issue("member", "reader", "other")
    assert caller(callers, token) == Caller(PROJECT, NAME, frozenset({"submit", "read", "delete"}))
    assert caller(callers, keystone.issue("reader", project="p2")) == Caller("p2", NAME, frozenset({"read"}))
    assert callers.named(auth_token(token).get) == NAME


def test_keystones_word_counts_for_a_minute(keystone, callers, clock):
    token = keystone.issue("member")
    for _ in range(3):
        caller(callers, token)
    assert keystone.asked == [token]
    keystone.revoke(token)
    clock.sleep(GOOD - 1)
    assert caller(callers, token)
    clock.sleep(1)
    assert refusal(callers, token).reason == "token_unknown"


def test_a_role_that_was_taken_away_is_gone_within_the_minute(keystone, callers, clock):
    token = keystone.issue("member")
    caller(callers, token)
    keystone.tokens[token]["roles"] = [{"id": "r", "name": "reader"}]
    clock.sleep(GOOD)
    assert caller(callers, token).scopes == {"read"}


def test_a_token_ends_at_its_moment_within_the_minute_too(keystone, callers, clock):
    token = keystone.issue("member", seconds=20)
    assert caller(callers, token)
    clock.sleep(20)
    assert refusal(callers, token).reason == "token_expired"
    assert len(keystone.asked) == 1
    assert callers.named(auth_token(token).get) == NAME


def test_a_bad_token_is_asked_about_again_after_ten_seconds(keystone, callers, clock):
    errors = [refusal(callers, "stranger") for _ in range(3)]
    assert len(keystone.asked) == 1
    assert {error.detail for error in errors} == {tokens.UNKNOWN}
    assert len({id(error) for error in errors}) == 3, "one that several threads raise would gather their traces"
    assert callers.named(auth_token("stranger").get) == tokens.fingerprint("stranger")
    clock.sleep(BAD)
    refusal(callers, "stranger")
    assert len(keystone.asked) == 2


def test_nobody_comes_in_while_keystone_is_away_and_everybody_soon_after(keystone, callers, clock):
    token = keystone.issue("member")
    keystone.script = [503, b"<html>", b'{"token": {}}', 302, 429, 300]
    with structlog.testing.capture_logs() as lines:
        while keystone.script:
            error = refusal(callers, token, UnavailableError)
            assert (error.status, error.retry_after) == (503, 5)
            assert keystone.url not in error.detail
            clock.sleep(AWAY)
        assert caller(callers, token)
    assert [line["event"] for line in lines] == ["keystone.away", "keystone.back"]


def test_a_good_token_is_not_believed_for_longer_when_keystone_is_away(keystone, callers, clock):
    token = keystone.issue("member")
    assert caller(callers, token)
    keystone.script = [503] * 5
    clock.sleep(GOOD)
    refusal(callers, token, UnavailableError)


def test_nobody_listens_there(clock, helpers):
    callers = KeystoneTokens("http://127.0.0.1:1/v3", HttpFetch(""), GRANTS, clock.clock(), helpers)
    refusal(callers, "token", UnavailableError)


def test_many_who_show_one_token_are_one_question(keystone, callers):
    held, told, token = threading.Event(), [], keystone.issue("member")
    keystone.script = [held]
    header = auth_token(token).get
    assert not any(callers.ready(header, lambda: told.append(1)) for _ in range(50))
    with pytest.raises(UnavailableError):
        callers.caller(header)
    assert told == []
    held.set()
    until(lambda: len(told) == 50)
    assert callers.caller(header).tenant == PROJECT
    assert len(keystone.asked) == 1


def test_a_flood_of_tokens_is_bounded_and_those_beyond_are_asked_to_come_again(keystone, callers, monkeypatch):
    monkeypatch.setattr(module, "MOST_ASKED", 3 + module.FOR_GOOD)
    held = threading.Event()
    keystone.script = [held] * 3
    told = []
    first = [callers.ready(auth_token(f"t{number}").get, lambda: told.append(1)) for number in range(3)]
    assert first == [False] * 3
    assert callers.ready(auth_token("t3").get, pytest.fail)
    with pytest.raises(UnavailableError) as refused:
        callers.caller(auth_token("t3").get)
    assert refused.value.retry_after == 1
    held.set()
    until(lambda: len(told) == 3)
    assert refusal(callers, "t3").reason == "token_unknown"


def test_what_is_remembered_is_bounded(keystone, callers, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 5)
    for number in range(20):
        refusal(callers, f"t{number}")
    assert len(callers._others) == 5
    assert len(keystone.asked) == 20
    refusal(callers, "t19")
    assert len(keystone.asked) == 20
    for _ in range(6):
        caller(callers, keystone.issue("member"))
    assert len(callers._good) == 5


def test_a_flood_of_strangers_makes_no_good_token_forgotten(keystone, callers, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 3)
    token = keystone.issue("member")
    caller(callers, token)
    for number in range(5):
        refusal(callers, f"t{number}")
    assert caller(callers, token)
    assert keystone.asked.count(token) == 1


@pytest.mark.parametrize("since", [[], [503]])
def test_while_strangers_wait_in_every_place_of_theirs_a_token_that_was_good_is_asked_about(
    keystone, callers, clock, monkeypatch, since
):
    monkeypatch.setattr(module, "MOST_ASKED", module.FOR_GOOD + 2)
    token, held, told = keystone.issue("member"), threading.Event(), []
    caller(callers, token)
    clock.sleep(GOOD)
    for status in since:
        keystone.script = [status]
        refusal(callers, token, UnavailableError)
        clock.sleep(AWAY)
    keystone.script = [held] * 2
    assert [callers.ready(auth_token(f"t{number}").get, lambda: told.append(1)) for number in range(2)] == [False] * 2
    until(lambda: keystone.script == [])
    assert callers.ready(auth_token("t2").get, pytest.fail)
    assert caller(callers, token).tenant == PROJECT
    held.set()
    until(lambda: len(told) == 2)


def test_a_token_that_was_taken_back_is_a_stranger_again(keystone, callers, clock, monkeypatch):
    token = keystone.issue("member")
    caller(callers, token)
    keystone.revoke(token)
    clock.sleep(GOOD)
    refusal(callers, token)
    clock.sleep(BAD)
    monkeypatch.setattr(module, "MOST_ASKED", module.FOR_GOOD)
    assert refusal(callers, token, UnavailableError).retry_after == 1


def test_without_a_thread_for_it_a_token_is_asked_to_come_again(keystone, clock):
    helpers = ThreadPoolExecutor(1)
    helpers.shutdown()
    callers = KeystoneTokens(keystone.url, HttpFetch(""), GRANTS, clock.clock(), helpers)
    for _ in range(2):
        refusal(callers, "token", UnavailableError)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"project": None}, "tenant"),
        ({"project": {"id": "../x"}}, "tenant"),
        ({"project": {}}, "tenant"),
        ({"system": {"all": True}, "project": None}, "tenant"),
    ],
)
def test_a_token_of_no_project_has_no_tenant(keystone, callers, changes, reason):
    token = keystone.issue("member")
    keystone.tokens[token] |= changes
    assert refusal(callers, token, ForbiddenError).reason == reason


def test_access_rules_are_refused_even_if_keystone_tells_of_them(clock, helpers):
    rules = b'"application_credential": {"id": "c", "access_rules": [{"path": "/**"}]}'
    said = b'{"token": {"user": {"id": "u"}, "expires_at": "2126-01-01T00:00:00.000000Z", %s}}' % rules
    callers = KeystoneTokens("http://x/v3", lambda url, headers: Answer(200, said), GRANTS, clock.clock(), helpers)
    assert refusal(callers, "token").reason == "token_restricted"


@pytest.mark.parametrize("token", ["a b", "a,b", "ü", "a\x00", "x" * 8193, "{}"])
def test_what_cannot_be_a_token_is_not_asked_about(keystone, callers, token):
    assert refusal(callers, token).reason == "token_form"
    assert (keystone.asked, callers.named(auth_token(token).get)) == ([], "")


def test_the_token_goes_to_keystone_alone_and_in_no_log(keystone, callers):
    token = keystone.issue("member")
    with structlog.testing.capture_logs() as lines:
        keystone.script = [503]
        refusal(callers, token, UnavailableError)
    assert token not in repr(lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
SAID = st.dictionaries(st.sampled_from(["user", "project", "roles", "expires_at", "application_credential"]), JSON)


@given(said=SAID)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_keystone_says_nobody_is_made_up(keystone, callers, clock, said):
    clock.sleep(GOOD)
    token = keystone.issue("member")
    keystone.tokens[token] |= {"expires_at": "2126-01-01T00:00:00.000000Z"} | said
    try:
        found = caller(callers, token)
    except SkylensError:
        return
    assert found.tenant == said.get("project", {"id": PROJECT})["id"]


def test_the_stand_in_begins_when_the_clock_does(clock):
    assert clock.now() == ISSUED
