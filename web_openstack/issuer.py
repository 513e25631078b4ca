"""The public keys of an OIDC issuer, fetched and renewed by a thread of their own, so that no other waits for it."""

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt

from skylens import logs
from skylens.clock import Clock
from skylens.errors import MessageError, SkylensError, UnavailableError
from skylens.messages import Struct, decode
from web_openstack.callers import Tell
from web_openstack.fetch import Fetch

log = logs.get(__name__)

DISCOVERY = "/.well-known/openid-configuration"
ALGORITHMS = {("RSA", None): ("RS256", "PS256"), ("EC", "P-256"): ("ES256",), ("OKP", "Ed25519"): ("EdDSA",)}
"""By a key's kind and curve, what it may verify. All asymmetric, for who can check an HMAC can make one."""
SIGNED_BY = tuple(name for names in ALGORITHMS.values() for name in names)
EVERY, AGAIN = 300.0, 10.0
"""Seconds between two fetches; and the least, after one that failed or for a token whose key is unknown."""
SMALLEST, MOST = 2048, 100
"""Bits of an RSA key, and keys of an issuer."""


class Key(NamedTuple):
    """``public``: a key of the library cryptography; ``algorithms``: what it may verify."""

    public: Any
    algorithms: tuple[str, ...]


class Discovery(Struct, frozen=True, kw_only=True):
    issuer: str
    jwks_uri: str


class Jwks(Struct, frozen=True, kw_only=True):
    keys: list[dict[str, Any]]


def fetched(fetch: Fetch, issuer: str) -> dict[str, Key]:
    """The issuer's keys by ``kid``, which is empty for one without. Raises UnavailableError."""
    try:
        found = decode(Discovery, _body(fetch, issuer.rstrip("/") + DISCOVERY))
        if found.issuer != issuer:
            raise UnavailableError(f"it calls itself {found.issuer[:200]!r}; SKYLENS_OIDC_ISSUER must be exactly that")
        listed = decode(Jwks, _body(fetch, found.jwks_uri)).keys[:MOST]
    except MessageError as error:
        raise UnavailableError(f"its documents cannot be read: {error.detail}") from error
    keys = {str(one.get("kid", "")): key for one in listed if (key := usable(one)) is not None}
    if not keys:
        raise UnavailableError(f"{found.jwks_uri} has no key for signatures by {', '.join(SIGNED_BY)}")
    return keys


def _body(fetch: Fetch, url: str) -> bytes:
    answer = fetch(url)
    if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
        raise UnavailableError(f"{url} answers with status {answer.status}")
    return answer.body


def usable(one: Mapping[str, Any]) -> Key | None:
    """A key as the issuer lists it; None for one of another kind or use, a weak one, and one that is not public."""
    kind = one.get("kty"), one.get("crv")
    named = next((names for known, names in ALGORITHMS.items() if known == kind), ())
    algorithms = tuple(name for name in named if one.get("alg", name) == name)
    if not algorithms or one.get("use", "sig") != "sig" or "d" in one:
        return None
    try:
        public = jwt.PyJWK(dict(one), algorithms[0]).key
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
    return None if one["kty"] == "RSA" and public.key_size < SMALLEST else Key(public, algorithms)


class IssuerKeys(threading.Thread):
    """Fetches at the start, then every five minutes, and soon when a token names a key that is not here.

    Owned by ``main``; the keys are replaced as a whole, so readers need no lock. While the issuer is away the keys of
    before stay in force; if the thread dies, too, and the watchdog has the process started anew.
    """

    def __init__(self, issuer: str, fetch: Fetch, clock: Clock) -> None:
        super().__init__(name="issuer", daemon=True)
        self._issuer, self._fetch, self._clock = issuer, fetch, clock
        self._keys: Mapping[str, Key] = {}
        self._trouble = ""
        self._turn = threading.Condition()
        self._asking: list[Tell] = []
        self._looking, self._halted, self._not_before = False, False, float("-inf")

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str) -> Key | None:
        """The key of that id; without one, the issuer's only key."""
        keys = self._keys
        return next(iter(keys.values())) if not kid and len(keys) == 1 else keys.get(kid)

    def renew(self, tell: Tell) -> bool:
        """Fetch the keys soon and call ``tell`` then; False: that was just done, so there is nothing to wait for."""
        with self._turn:
            if self._halted or (not self._looking and self._clock.ticks() < self._not_before):
                return False
            self._asking.append(tell)
            self._turn.notify()
            return True

    def halt(self) -> None:
        with self._turn:
            self._halted = True
            self._turn.notify()

    def run(self) -> None:
        while not self._halted:
            self._looking = True
            well = self.look()
            with self._turn:
                self._looking, self._not_before = False, self._clock.ticks() + AGAIN
                asking, self._asking = self._asking, []
            for tell in asking:
                tell()
            with self._turn:
                self._turn.wait_for(lambda: self._halted or self._asking, EVERY if well else AGAIN)

    def look(self) -> bool:
        """Fetch the keys; whether that went well. A trouble is logged once, until it is another one."""
        try:
            keys, trouble = fetched(self._fetch, self._issuer), ""
        except SkylensError as error:
            keys, trouble = {}, error.detail
        except Exception as error:  # the next turn goes on
            log.exception("issuer.broke")
            keys, trouble = {}, repr(error)
        if trouble and trouble != self._trouble:
            log.error("issuer.not_read", issuer=self._issuer, trouble=trouble, in_force=len(self._keys))
        if not trouble and (self._trouble or keys.keys() != self._keys.keys()):
            log.info("issuer.read", issuer=self._issuer, keys=sorted(kid[:40] for kid in keys))
        self._keys, self._trouble = keys or self._keys, trouble
        return not trouble
