"""What a keys file holds: keys, tenants' limits, and who changed them when. Pure: time and randomness come in."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec

from skylens.errors import SettingsError
from skylens.messages import Struct
from web_openstack.callers import Scope

TENANT = r"[a-z0-9][a-z0-9-]{0,62}"
RATE = r"\d+/(second|minute|hour|day)"
REMEMBERED = 1000
"""Most acts kept in the history; the oldest go first."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


def is_tenant(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(TENANT, name) is not None


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key. A key is 256 random bits, which nobody finds by trying, so its plain SHA-256 gives nothing away."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}\Z")]
    """Public: it is in the key itself, and in logs."""
    tenant: Annotated[str, msgspec.Meta(pattern=rf"^{TENANT}\Z")]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    """Of the whole key."""
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    created: Moment
    expires: Moment | None = None
    revoked: Moment | None = None
    note: str = ""

    def state(self, now: datetime) -> str:
        """``valid``, ``expired`` or ``revoked``."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Of one tenant at one web node; empty or 0: none of its own."""

    rate: Annotated[str, msgspec.Meta(pattern=rf"^({RATE})?\Z")] = ""
    """Images per time, in place of ``SKYLENS_RATE_LIMIT``."""
    outstanding: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Most images taken in and not answered."""
    per_day: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Most images from midnight to midnight UTC."""


class Act(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody did to the file. ``who``: a name of the operating system."""

    at: Moment
    who: str
    what: str


class Keyring(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keys: tuple[Entry, ...] = ()
    limits: dict[Annotated[str, msgspec.Meta(pattern=rf"^{TENANT}\Z")], Limits] = msgspec.field(default_factory=dict)
    history: tuple[Act, ...] = ()

    def entry(self, key: str) -> Entry:
        """The key of this id. Raises SettingsError."""
        found = [entry for entry in self.keys if entry.id == key]
        if not found:
            raise SettingsError(f"no key has the id {key!r}; `skylens keys list` shows those there are")
        return found[0]

    def adding(self, entry: Entry) -> "Keyring":
        return msgspec.structs.replace(self, keys=(*self.keys, entry))

    def changing(self, key: str, **fields: object) -> "Keyring":
        """With other values in one key. Raises SettingsError."""
        changed = msgspec.structs.replace(self.entry(key), **fields)
        keys = tuple(changed if entry.id == key else entry for entry in self.keys)
        return msgspec.structs.replace(self, keys=keys)

    def limiting(self, tenant: str, limits: Limits) -> "Keyring":
        others = {name: one for name, one in self.limits.items() if name != tenant}
        return msgspec.structs.replace(self, limits=others | ({tenant: limits} if limits != Limits() else {}))

    def noting(self, at: datetime, who: str, what: str) -> "Keyring":
        history = (*self.history, Act(at=at, who=who, what=what))[-REMEMBERED:]
        return msgspec.structs.replace(self, history=history)

    def check(self) -> "Keyring":
        """This keyring. Raises SettingsError when two keys share an id."""
        for key, number in Counter(entry.id for entry in self.keys).items():
            if number > 1:
                raise SettingsError(f"{number} keys have the id {key}")
        return self

    def fresh_id(self, token: Callable[[int], str]) -> str:
        """An id that no key has. ``token``: so many random bytes in hex."""
        taken = {entry.id for entry in self.keys}
        return next(one for one in iter(lambda: token(4), "") if one not in taken)
