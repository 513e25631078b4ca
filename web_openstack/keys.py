"""API keys as a strategy: a bearer token is looked for among entries, in constant time."""

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from skylens.clock import Clock
from skylens.errors import UnauthorisedError
from web_openstack.callers import OPEN_TENANT, SCOPES, Caller, Header, Open, Strategy, Tell
from web_openstack.keyring import Entry, Keyring

FORM = re.compile(r"sk_([0-9a-f]{8})_[0-9a-f]{64}")
"""Of the keys that ``skylens keys`` makes: their id, then 256 random bits."""
_WORD = re.compile(r"[\w.-]+", re.ASCII)
"""In which a JSON Web Token would be, found in linear time: who calls chooses the text."""
_FERNET = re.compile(r"gAAAA[\w-]{40,}=*", re.ASCII)
"""One of Keystone's tokens."""
UNKNOWN = "this API key is not known here"
_BEGINNING = datetime.fromtimestamp(0, UTC)


class ApiKeys:
    """Takes as long for the first key as for the last and for a wrong one."""

    def __init__(self, entries: Callable[[], Sequence[Entry]], clock: Clock) -> None:
        """``entries``: the keys as they are now."""
        self._entries, self._clock = entries, clock

    def ready(self, header: Header, tell: Tell) -> bool:
        """The keys are in memory."""
        del header, tell
        return True

    def caller(self, header: Header) -> Caller:
        """Raises UnauthorisedError; that a key has expired is told only to who has it."""
        key = bearer(header)
        if not key:
            raise UnauthorisedError("send your API key as: Authorization: Bearer <key>", reason="no_key")
        entry = self._find(key)
        if entry is None:
            raise UnauthorisedError(UNKNOWN, reason="unknown_key")
        state = entry.state(datetime.fromtimestamp(self._clock.now(), UTC))
        if state == "expired":
            raise UnauthorisedError(f"this API key expired at {entry.expires:%Y-%m-%d %H:%M UTC}", reason="expired_key")
        if state == "revoked":
            raise UnauthorisedError(UNKNOWN, reason="revoked_key")
        return Caller(entry.tenant, entry.id, frozenset(entry.scopes))

    def named(self, header: Header) -> str:
        """The id of the key, or of the one whose id is in it, if there is such a key."""
        key = bearer(header)
        entry, form = self._find(key), FORM.fullmatch(key)
        if entry is not None:
            return entry.id
        return form[1] if form and any(one.id == form[1] for one in self._entries()) else ""

    def _find(self, key: str) -> Entry | None:
        digest = hashlib.sha256(key.encode()).hexdigest()
        found = [entry for entry in self._entries() if hmac.compare_digest(entry.sha256, digest)]
        return found[0] if found else None


def bearer(header: Header) -> str:
    """What the request shows as ``Authorization: Bearer``; empty without."""
    scheme, _, key = (header("Authorization") or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def make(ring: Keyring, token: Callable[[int], str], **fields: Any) -> tuple[Entry, str]:
    """A new key: its entry, which ``ring`` has not yet, and itself. ``token``: so many random bytes in hex."""
    name = ring.fresh_id(token)
    key = f"sk_{name}_{token(32)}"
    return Entry(id=name, sha256=hashlib.sha256(key.encode()).hexdigest(), **fields), key


def of_setting(entries: Sequence[str]) -> tuple[Entry, ...]:
    """The keys of ``SKYLENS_API_KEYS``, ``tenant:sha256`` each, for logs named after their hash's beginning."""
    pairs = [entry.split(":") for entry in entries]
    return tuple(
        Entry(id=f"setting-{digest[:8]}", tenant=tenant, sha256=digest, scopes=SCOPES, created=_BEGINNING)
        for tenant, digest in pairs
    )


def strategy(setting: Sequence[str], ring: Callable[[], Keyring] | None, clock: Clock) -> Strategy:
    """Keys of the setting and the file. Nobody is asked only where there is neither; a file without keys shuts all out.

    A key in both is as the file has it.
    """
    if not setting and ring is None:
        return Open()
    fixed, current = of_setting(setting), ring or Keyring
    return ApiKeys(lambda: (*current().keys, *fixed), clock)


def tenants(setting: Sequence[str], ring: Keyring) -> tuple[str, ...]:
    """All whom a key may let in."""
    return tuple(sorted({entry.tenant for entry in (*ring.keys, *of_setting(setting))})) or (OPEN_TENANT,)


def masked(text: str) -> str:
    """A text for logs, with the secret of any key of our form in it hidden, and all of what looks like a token."""
    if "sk_" in text:
        text = FORM.sub(r"sk_\1_(hidden)", text)
    if "eyJ" in text:
        text = _WORD.sub(_without_jwt, text)
    return _FERNET.sub("(hidden)", text) if "gAAAA" in text else text


def _without_jwt(word: re.Match[str]) -> str:
    start = word[0].find("eyJ")
    return f"{word[0][:start]}(hidden)" if start >= 0 and word[0].count(".", start) > 1 else word[0]
