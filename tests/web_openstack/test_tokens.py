"""What is shown decides who is asked, and where tokens are taken nobody comes in with nothing."""

import subprocess
import sys
from contextlib import ExitStack

import pytest
from keyed import Keys, header

from skylens.clock import FakeClock
from skylens.errors import SettingsError, UnauthorisedError
from skylens.settings import WebSettings, load
from web_openstack.callers import SCOPES, Caller, Open
from web_openstack.grants import Grants
from web_openstack.tokens import Chooser, Tokens, fingerprint, name, strategy
from web_openstack.vouched import vouched

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln"


class Says:
    """A strategy that knows everybody by one name."""

    def __init__(self, word):
        self.word = word

    def ready(self, header, tell):
        return self.word != "keystone"

    def caller(self, header):
        return Caller(self.word, self.word, frozenset())

    def named(self, header):
        return self.word


BOTH = Tokens(Says("oidc"), Says("keystone"))


def asked(tokens, **headers):
    shown = {key.replace("_", "-"): value for key, value in headers.items()}
    return Chooser(Says("keys"), tokens).caller(shown.get).tenant


@pytest.mark.parametrize(
    ("headers", "who"),
    [
        ({"Authorization": f"Bearer {JWT}"}, "oidc"),
        ({"Authorization": f"bearer   {JWT} "}, "oidc"),
        ({"Authorization": f"Bearer {JWT}", "X_Auth_Token": "t"}, "oidc"),
        ({"Authorization": "Bearer sk_0", "X_Auth_Token": "t"}, "keys"),
        ({"Authorization": "Basic x", "X_Auth_Token": "t"}, "keys"),
        ({"X_Auth_Token": "t"}, "keystone"),
        ({"X_Auth_Token": JWT}, "keystone"),
        ({"Authorization": "Bearer sk_0"}, "keys"),
        ({"Authorization": "Bearer a.b.c"}, "keys"),
        ({"Authorization": f"Bearer {JWT}.x"}, "keys"),
        ({"Authorization": f"Bearer {JWT}\u00fc"}, "keys"),
        ({"Authorization": f"Bearer {JWT} {JWT}"}, "keys"),
        ({"Authorization": f"Bearer {JWT}, Bearer {JWT}"}, "keys"),
        ({"Authorization": "Bearer eyJ" + "a" * 5000 + ".b.c"}, "keys"),
    ],
)
def test_one_strategy_is_asked_by_the_form_of_what_is_shown(headers, who):
    assert asked(BOTH, **headers) == who


def test_what_is_not_taken_is_for_the_keys_to_refuse():
    assert asked(Tokens(keystone=Says("keystone")), Authorization=f"Bearer {JWT}") == "keys"
    assert asked(Tokens(oidc=Says("oidc")), X_Auth_Token="t") == "keys"


def test_all_three_questions_go_to_the_same_one():
    chooser, shown = Chooser(Says("keys"), BOTH), {"X-Auth-Token": "t"}.get
    assert (chooser.ready(shown, pytest.fail), chooser.named(shown)) == (False, "keystone")
    assert chooser.ready(header("sk_0").get, pytest.fail)


@pytest.mark.parametrize(
    ("tokens", "hint"),
    [
        (Tokens(oidc=Says("x")), "send an API key or a token as: Authorization: Bearer <it>"),
        (
            Tokens(keystone=Says("x")),
            "send an API key as: Authorization: Bearer <it>, or a Keystone token as: X-Auth-Token: <token>",
        ),
    ],
)
def test_who_shows_nothing_is_told_what_to_send(tokens, hint):
    for headers in ({}, {"Authorization": "Bearer "}, {"X-Auth-Token": ""}, {"Authorization": "Basic eA=="}):
        with pytest.raises(UnauthorisedError) as refused:
            Chooser(Says("keys"), tokens).caller(headers.get)
        assert (refused.value.detail, refused.value.reason) == (hint, "no_key")


@pytest.mark.parametrize("tokens", [Tokens(oidc=Says("x")), Tokens(keystone=Says("x")), BOTH])
def test_where_tokens_are_taken_nobody_comes_in_with_nothing_or_an_unknown_key(tokens):
    callers = strategy((), None, FakeClock().clock(), tokens)
    for shown in ({}, header("anything")):
        with pytest.raises(UnauthorisedError):
            callers.caller(shown.get)


def test_keys_go_on_beside_tokens():
    keys = Keys()
    key = keys.add("one")
    callers = strategy((), lambda: keys.ring, FakeClock().clock(), BOTH)
    assert callers.caller(header(key).get) == Caller("acme", keys.id("one"), frozenset(SCOPES))
    assert callers.named(header(key).get) == keys.id("one")


def test_without_tokens_all_is_as_it_was():
    assert isinstance(strategy((), None, FakeClock().clock(), Tokens()), Open)


def test_words_of_others_let_do_what_the_settings_say():
    grants = Grants(("a=read", "b=submit+delete", "a=operate"))
    assert grants.scopes(["a"]) == {"read", "operate"}
    assert grants.scopes(["b", "a", "c"]) == set(SCOPES)
    assert grants.scopes(["A", "b ", ""]) == frozenset()


def test_the_settings_know_every_scope():
    every = "+".join(SCOPES)
    assert Grants(load(WebSettings, keystone_roles=f"x={every}").keystone_roles).scopes(["x"]) == set(SCOPES)
    assert Grants(WebSettings().oidc_scopes).scopes(f"skylens:{scope}" for scope in SCOPES) == set(SCOPES)


def test_names_for_logs_are_short_and_plain_and_fingerprints_tell_nothing():
    assert name("oidc", "auth0|5f7c\r\n" + "x" * 99) == "oidc-auth0|5f7c__" + "x" * 52
    assert fingerprint(JWT).startswith("token-")
    assert len(fingerprint(JWT)) == 14
    assert fingerprint("") == ""


def test_nothing_is_begun_that_nobody_asked_for():
    with ExitStack() as stack:
        assert vouched(WebSettings(), FakeClock().clock(), stack) == (Tokens(), [])


def test_without_the_library_the_setting_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jwt", None)
    for module in ("web_openstack.issuer", "web_openstack.oidc"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    settings = load(WebSettings, oidc_issuer="https://idp.example", oidc_audience="skylens")
    with (
        ExitStack() as stack,
        pytest.raises(SettingsError, match=r"OIDC_ISSUER='https://idp.example' needs PyJWT .*\[oidc\]"),
    ):
        vouched(settings, FakeClock().clock(), stack)


def test_the_issuers_thread_ends_with_the_stack():
    settings = load(WebSettings, oidc_issuer="http://127.0.0.1:1", oidc_audience="skylens")
    with ExitStack() as stack:
        tokens, (thread,) = vouched(settings, FakeClock().clock(), stack)
        assert thread.is_alive()
        assert tokens.keystone is None
    thread.join(30)
    assert not thread.is_alive()


def test_only_who_asks_an_issuer_or_keystone_has_an_http_client_for_it_in_memory():
    look = "import sys, web_openstack.main; print(sorted(sys.modules.keys() & {'httpcore2', 'web_openstack.fetch'}))"
    assert subprocess.check_output([sys.executable, "-c", look], text=True).strip() == "[]"
