"""Who a key lets in: scopes, expiry, revocation, and nothing to be learned from how long it takes."""

import hashlib
import hmac

import msgspec
import pytest
from keyed import DAY, NOW, Keys, header

from skylens.clock import FakeClock
from skylens.errors import ForbiddenError, SettingsError, UnauthorisedError
from web_openstack.callers import SCOPES, Caller, Open
from web_openstack.keyring import REMEMBERED, Entry, Keyring, Limits
from web_openstack.keys import UNKNOWN, masked, strategy, tenants


@pytest.fixture
def keys():
    return Keys()


@pytest.fixture
def clock():
    return FakeClock()


def known(keys, clock, setting=()):
    return strategy(setting, lambda: keys.ring, clock.clock())


def shown(key):
    return header(key).get


def refusal(callers, key):
    with pytest.raises(UnauthorisedError) as refused:
        callers.caller(shown(key))
    return refused.value


def test_a_key_says_whose_it_is_and_what_it_may_do(keys, clock):
    key = keys.add("one", "acme", ("submit",))
    caller = known(keys, clock).caller(shown(key))
    assert caller == Caller("acme", keys.id("one"), frozenset({"submit"}))
    caller.check("submit")
    caller.check(None)
    with pytest.raises(ForbiddenError, match="lacks the scope read; it has submit"):
        caller.check("read")


def test_an_unknown_and_a_revoked_key_are_told_the_same_and_the_reason_is_for_the_log(keys, clock):
    key = keys.add("revoked", revoked=NOW)
    callers = known(keys, clock)
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    told = {refusal(callers, one).detail for one in (key, wrong, "x", "sk_", "ümlaut")}
    assert told == {UNKNOWN}
    assert [refusal(callers, one).reason for one in (key, wrong)] == ["revoked_key", "unknown_key"]


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer ", "Basic foo", "Token foo"])
def test_without_a_bearer_token_there_is_no_key(keys, clock, value):
    keys.add("one")
    with pytest.raises(UnauthorisedError, match="Authorization: Bearer <key>") as refused:
        known(keys, clock).caller({"Authorization": value}.get)
    assert refused.value.reason == "no_key"


def test_a_key_expires_at_its_moment_and_only_its_holder_is_told(keys, clock):
    key = keys.add("brief", expires=NOW + DAY)
    callers = known(keys, clock)
    clock.sleep(86399)
    assert callers.caller(shown(key)).tenant == "acme"
    clock.sleep(1)
    assert refusal(callers, key).detail == "this API key expired at 2023-11-15 22:13 UTC"
    assert refusal(callers, key[:-4] + "0000").detail == UNKNOWN


def test_a_key_that_was_revoked_after_it_expired_is_unknown(keys, clock):
    assert refusal(known(keys, clock), keys.add("old", expires=NOW - DAY, revoked=NOW)).detail == UNKNOWN


def test_every_entry_is_compared_whatever_key_comes(keys, clock, monkeypatch):
    made = [keys.add(str(number)) for number in range(20)]
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(len(b)) or a == b)
    callers = known(keys, clock)
    for key in (made[0], made[-1]):
        callers.caller(shown(key))
    for key in ("x", made[0][:-1] + "x", "sk_" + keys.id("0") + "_" + "0" * 64):
        refusal(callers, key)
    assert compared == [64] * 20 * 5


def test_without_keys_everyone_may_do_everything(clock):
    assert isinstance(strategy((), None, clock.clock()), Open)
    caller = strategy((), None, clock.clock()).caller({}.get)
    assert (caller.tenant, caller.scopes) == ("default", frozenset(SCOPES))


def test_a_file_without_keys_shuts_everyone_out(keys, clock):
    assert refusal(known(keys, clock), "x").detail == UNKNOWN


def test_keys_of_the_setting_have_all_scopes_for_ever_and_a_name_for_logs(keys, clock):
    digest = hashlib.sha256(b"old-style").hexdigest()
    callers = known(keys, clock, (f"lab:{digest}",))
    clock.sleep(1e9)
    assert callers.caller(shown("old-style")) == Caller("lab", f"setting-{digest[:8]}", frozenset(SCOPES))


def test_of_a_key_in_both_the_file_counts(keys, clock):
    key = keys.add("both", revoked=NOW)
    assert refusal(known(keys, clock, (f"acme:{keys.ring.keys[0].sha256}",)), key).reason == "revoked_key"


def test_a_key_is_named_by_its_id_if_that_is_known_and_by_nothing_else(keys, clock):
    key = keys.add("one", revoked=NOW)
    callers = known(keys, clock)
    name = keys.id("one")
    assert callers.named(shown(key)) == name
    assert callers.named(shown(f"sk_{name}_" + "0" * 64)) == name
    assert callers.named(shown("sk_00000000_" + "0" * 64)) == ""
    assert [callers.named(shown(other)) for other in ("", name, key[:-1], key + "0")] == [""] * 4


def test_those_whom_a_key_may_let_in(keys):
    keys.add("one", "globex")
    keys.add("two", "acme")
    assert tenants(("lab:" + "0" * 64,), keys.ring) == ("acme", "globex", "lab")
    assert tenants((), Keyring()) == ("default",)


def test_a_key_in_a_text_is_masked(keys):
    key = keys.add("one")
    assert masked(f"/v1/images/{key}/x") == f"/v1/images/sk_{keys.id('one')}_(hidden)/x"
    assert masked("/v1/images/task_5") == "/v1/images/task_5"


@pytest.mark.parametrize(
    "token", ["eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln", "eyJh.eyJi.", "gAAAAABl" + "x_-" * 60 + "=="]
)
def test_a_token_in_a_text_is_masked(token):
    assert masked(f"/v1/images/{token}/x") == "/v1/images/(hidden)/x"
    assert masked(f"/{token}?{token}") == "/(hidden)?(hidden)"


@pytest.mark.parametrize("part", ["eyJ", "eyJ.", "eyJ-.eyJ", "gAAAA", "sk_", "."])
def test_a_long_text_that_begins_as_a_token_again_and_again_is_read_once(part):
    assert len(masked("/" + part * 300_000)) < 1_500_002  # a walk for each beginning would take hours


def test_the_keyring_keeps_a_hash_and_never_the_key(keys):
    key = keys.add("one", note="the dashboard")
    written = msgspec.json.encode(keys.ring).decode()
    assert key not in written
    assert key.split("_")[2] not in written
    assert hashlib.sha256(key.encode()).hexdigest() in written


def test_two_keys_never_share_an_id(keys):
    entry = Entry(id="0" * 8, tenant="a", sha256="0" * 64, scopes=("read",), created=NOW)
    tokens = iter(["0" * 8, "0" * 8, "1" * 8])
    assert Keyring(keys=(entry,)).fresh_id(lambda _: next(tokens)) == "1" * 8
    with pytest.raises(SettingsError, match="2 keys have the id 00000000"):
        Keyring(keys=(entry, entry)).check()


def test_limits_of_nothing_are_no_limits():
    ring = Keyring().limiting("acme", Limits(rate="5/second")).limiting("globex", Limits(per_day=9))
    assert ring.limiting("acme", Limits()).limits == {"globex": Limits(per_day=9)}


def test_the_history_keeps_the_newest_acts():
    ring = Keyring()
    for number in range(REMEMBERED + 5):
        ring = ring.noting(NOW, "root", str(number))
    assert [act.what for act in ring.history] == [str(number) for number in range(5, REMEMBERED + 5)]
