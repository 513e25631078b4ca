"""Keys and tokens together: which strategy a request is for, by the form of what it shows."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skylens.clock import Clock
from skylens.errors import UnauthorisedError
from web_openstack import keys
from web_openstack.callers import Caller, Header, Strategy, Tell
from web_openstack.keyring import Keyring

AUTH_TOKEN = "X-Auth-Token"  # noqa: S105 - a header
JWT = re.compile(r"eyJ[\w-]{1,4096}\.[\w-]{1,16384}\.[\w-]{0,4096}", re.ASCII)
"""Of JSON Web Tokens: three parts in base64url, the first of which is a JSON object."""
UNKNOWN = "this token is not known here"
_STRANGE = re.compile(r"[^\w.@:|+-]", re.ASCII)
_LONGEST = 64


@dataclass(frozen=True)
class Tokens:
    """What is taken beside API keys."""

    oidc: Strategy | None = None
    keystone: Strategy | None = None


class Chooser:
    """Asks one strategy: a JWT is for the issuer's, ``X-Auth-Token`` alone for Keystone's, all else for the keys'."""

    def __init__(self, keys: Strategy, tokens: Tokens) -> None:
        self._keys, self._tokens = keys, tokens
        beside = f", or a Keystone token as: {AUTH_TOKEN}: <token>" if tokens.keystone else ""
        self._hint = f"send an API key{' or a token' if tokens.oidc else ''} as: Authorization: Bearer <it>{beside}"

    def ready(self, header: Header, tell: Tell) -> bool:
        return self._of(header).ready(header, tell)

    def caller(self, header: Header) -> Caller:
        if not header(AUTH_TOKEN) and not keys.bearer(header):
            raise UnauthorisedError(self._hint, reason="no_key")
        return self._of(header).caller(header)

    def named(self, header: Header) -> str:
        return self._of(header).named(header)

    def _of(self, header: Header) -> Strategy:
        if self._tokens.keystone and header(AUTH_TOKEN) and not header("Authorization"):
            return self._tokens.keystone
        return self._tokens.oidc if self._tokens.oidc and JWT.fullmatch(keys.bearer(header)) else self._keys


def strategy(setting: Sequence[str], ring: Callable[[], Keyring] | None, clock: Clock, tokens: Tokens) -> Strategy:
    """As of ``keys.strategy``, with tokens; where any are taken, nobody comes in without a key or a token."""
    if tokens == Tokens():
        return keys.strategy(setting, ring, clock)
    return Chooser(keys.strategy(setting, ring or Keyring, clock), tokens)


def fingerprint(token: str) -> str:
    """A token's name for logs, which tells nothing of it."""
    return f"token-{hashlib.sha256(token.encode()).hexdigest()[:8]}" if token else ""


def name(kind: str, subject: str) -> str:
    """A caller's name for logs, of a subject as somebody else named it."""
    return f"{kind}-{_STRANGE.sub('_', subject)[:_LONGEST]}"
