"""The issuer's keys are found, renewed and kept whatever the issuer does, and only those that can prove something."""

import json
import threading

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from keyed import until
from loopback_issuer import MAKERS, public_jwk, serving_issuer

from skylens.clock import FakeClock
from skylens.errors import UnavailableError
from web_openstack import issuer as module
from web_openstack.fetch import LARGEST, HttpFetch
from web_openstack.issuer import AGAIN, MOST, IssuerKeys, fetched, usable

FETCH = HttpFetch("")


@pytest.fixture
def issuer():
    with serving_issuer() as made:
        yield made


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def start(clock):
    """Start a thread for an issuer's keys; it ends with the test."""
    begun = []

    def start(url):
        keys = IssuerKeys(url, FETCH, clock.clock())
        keys.start()
        begun.append(keys)
        return keys

    yield start
    for keys in begun:
        keys.halt()
        keys.join(30)
        assert not keys.is_alive()


def waits(keys):
    """Ask for the keys anew; whether there was something to wait for, once it is over."""
    told = threading.Event()
    return keys.renew(told.set) and told.wait(60)


def test_keys_of_every_kind_are_known_by_their_ids(issuer):
    for alg in MAKERS:
        issuer.add(alg, alg)
    found = fetched(FETCH, issuer.url)
    assert found.keys() == {"one", *MAKERS}
    for alg in MAKERS:
        claims = jwt.decode(
            issuer.token(alg),
            found[alg].public,
            algorithms=found[alg].algorithms,
            options={"verify_signature": True},
            audience="skylens",
            leeway=1e9,
        )
        assert claims["sub"] == "ada"


def test_an_rsa_key_that_names_no_algorithm_verifies_both(issuer):
    known = public_jwk(MAKERS["RS256"](), "RS256", "x")
    known.pop("alg", None)
    assert usable(known).algorithms == ("RS256", "PS256")
    assert usable(known | {"alg": "PS256"}).algorithms == ("PS256",)


@pytest.mark.parametrize(
    "one",
    [
        {},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "h", "alg": "HS256"},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "RS256"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQ", "e": "AQAB"},
        {"kty": "RSA", "n": 5, "e": []},
        {"kty": ["RSA"], "crv": {}},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        public_jwk(MAKERS["RS256"](), "RS256", "x") | {"use": "enc"},
        public_jwk(MAKERS["RS256"](), "RS256", "x") | {"alg": "RSA-OAEP"},
        public_jwk(MAKERS["RS256"](), "RS256", "x") | {"alg": "HS256"},
        public_jwk(rsa.generate_private_key(65537, 1024), "RS256", "weak"),
        public_jwk(ec.generate_private_key(ec.SECP384R1()), "ES384", "x"),
        json.loads(jwt.get_algorithm_by_name("EdDSA").to_jwk(ed25519.Ed25519PrivateKey.generate())),
    ],
    ids=lambda one: " ".join(f"{name}={one[name]}"[:20] for name in ("kty", "alg", "crv", "use") if name in one),
)
def test_a_key_that_could_prove_nothing_is_passed_over(one):
    assert usable(one) is None


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([500], "answers with status 500"),
        ([404], "answers with status 404"),
        ([302], "answers with status 302"),
        ([b"<html>"], "cannot be read"),
        ([b"[" * 100_000], "cannot be read"),
        ([b'{"issuer": 5, "jwks_uri": "x"}'], "cannot be read"),
        ([b'{"issuer": "https://evil.example", "jwks_uri": "x"}'], "calls itself 'https://evil.example'"),
        ([b'"' + b"x" * LARGEST], f"more than {LARGEST} bytes"),
        ([200, 503], "keys answers with status 503"),
        ([200, b'{"keys": []}'], "no key for signatures by RS256, PS256, ES256, EdDSA"),
        ([200, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'], "no key for signatures"),
        ([200, b'{"keys": "none"}'], "cannot be read"),
    ],
)
def test_what_the_issuer_should_not_say_gives_no_keys(issuer, answers, said):
    issuer.script = answers
    with pytest.raises(UnavailableError, match=said):
        fetched(FETCH, issuer.url)


@pytest.mark.parametrize("place", ["http://192.0.2.7/keys", "ftp://127.0.0.1/keys", "file:///etc/passwd", "keys"])
def test_keys_are_fetched_over_https_or_from_this_machine_alone(issuer, place):
    issuer.script = [json.dumps({"issuer": issuer.url, "jwks_uri": place}).encode()]
    with pytest.raises(UnavailableError, match="is neither https:// nor http:// on this machine"):
        fetched(FETCH, issuer.url)


def test_an_issuer_must_call_itself_exactly_as_the_setting_does(issuer):
    issuer.called_itself = issuer.url + "/"
    with pytest.raises(UnavailableError, match="must be exactly that"):
        fetched(FETCH, issuer.url)
    assert fetched(FETCH, issuer.url + "/").keys() == {"one"}


def test_no_more_than_a_hundred_keys_are_kept(issuer):
    issuer.listed = [issuer.listed[0] | {"kid": str(number)} for number in range(MOST + 50)]
    assert len(fetched(FETCH, issuer.url)) == MOST


def test_a_token_without_a_key_id_is_for_the_only_key(issuer, clock):
    keys = IssuerKeys(issuer.url, FETCH, clock.clock())
    assert keys.find("") is None
    assert keys.look()
    assert keys.find("") is keys.find("one") is not None
    issuer.add("two")
    assert keys.look()
    assert keys.find("") is None


def test_new_keys_are_fetched_for_whoever_shows_one_but_not_all_the_time(issuer, clock, start):
    keys = start(issuer.url)
    until(lambda: len(keys) == 1)
    issuer.add("two")
    clock.sleep(AGAIN)
    assert waits(keys)
    assert keys.find("two")
    before = len(issuer.asked)
    assert [keys.renew(pytest.fail) for _ in range(100)] == [False] * 100
    assert len(issuer.asked) == before
    clock.sleep(AGAIN)
    assert waits(keys)
    assert len(issuer.asked) == before + 2


def test_a_key_that_the_issuer_has_withdrawn_is_not_kept(issuer, clock):
    keys = IssuerKeys(issuer.url, FETCH, clock.clock())
    issuer.add("two")
    assert keys.look()
    issuer.listed.pop(0)
    assert keys.look()
    assert (keys.find("one"), len(keys)) == (None, 1)


def test_keys_stay_while_the_issuer_is_away_and_a_trouble_is_logged_once(issuer, clock):
    keys = IssuerKeys(issuer.url, FETCH, clock.clock())
    with structlog.testing.capture_logs() as lines:
        assert keys.look()
        issuer.script = [500] * 3
        assert [keys.look() for _ in range(3)] == [False] * 3
        assert keys.find("one")
        assert keys.look()
    assert [line["event"] for line in lines] == ["issuer.read", "issuer.not_read", "issuer.read"]
    assert lines[1]["in_force"] == 1


def test_who_asks_during_a_fetch_is_told_at_its_end(issuer, start):
    held = threading.Event()
    issuer.script = [held]
    keys = start(issuer.url)
    until(lambda: issuer.asked)
    told = [threading.Event() for _ in range(3)]
    assert all(keys.renew(one.set) for one in told)
    assert not any(one.is_set() for one in told)
    held.set()
    assert all(one.wait(60) for one in told)
    assert keys.find("one")


def test_an_issuer_that_is_away_at_the_start_is_asked_again(issuer, clock, start, monkeypatch):
    monkeypatch.setattr(module, "AGAIN", 0.01)
    issuer.script = [500] * 5
    keys = start(issuer.url)
    until(lambda: len(keys) == 1)
    assert len(issuer.asked) == 7


def test_a_fault_of_ours_ends_neither_the_thread_nor_the_waiting(issuer, clock, monkeypatch):
    monkeypatch.setattr(module, "AGAIN", 0.01)
    turns = iter([ZeroDivisionError, UnavailableError])

    def breaks(url, headers=None):
        raise next(turns, UnavailableError)

    keys = IssuerKeys(issuer.url, breaks, clock.clock())
    told = threading.Event()
    assert keys.renew(told.set)
    with structlog.testing.capture_logs() as lines:
        keys.start()
        assert told.wait(60)
        until(lambda: any(line["event"] == "issuer.not_read" for line in lines))
    assert lines[0]["event"] == "issuer.broke"
    keys.halt()
    keys.join(30)
    assert not keys.is_alive()
    assert not keys.renew(pytest.fail)
