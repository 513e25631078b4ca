"""Webhooks as they lie in the state bucket, one small object each, from before the client's 2xx until delivery.

Any web node may deliver any of them. Who does claims it first by conditional write. How long a claim, or a pause after
a failure, lasts is in the record, and runs from when it was written, by S3's own clock: nobody's death or wrong clock
holds a webhook for longer.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import msgspec

from skylens.aws_errors import AWS_ERRORS
from skylens.errors import UnknownJobError
from skylens.messages import Struct, decode, encode
from skylens.store import Store
from web_openstack.jobs import check_id, unavailable
from web_openstack.webhooks.agenda import Agenda, Place

FOLDER = "webhooks"
Kind = Literal["image", "batch"]


class Hook(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``pause``: seconds from when this was written until anybody may claim it; ``attempts``: that were begun."""

    kind: Kind
    url: str
    attempts: int = 0
    pause: float = 0.0


@dataclass(frozen=True)
class Held:
    """One version of a record. ``age``: seconds since it was written."""

    place: Place
    hook: Hook
    etag: str
    age: float


@dataclass(frozen=True)
class Hooks:
    state: Store
    agenda: Agenda

    def register(self, place: Place, kind: Kind, url: str) -> bool:
        """Keep it; one that is there already stays as it is, which gives False.

        Raises TooManyRequestsError, UnavailableError.
        """
        self.agenda.add(place)
        try:
            hook = Hook(kind=kind, url=url)
            return self.state.put_if(key(place), encode(hook), "application/json", etag=None) is not None
        except AWS_ERRORS as error:
            self.agenda.drop(place)
            raise unavailable(error, "; the webhook is not registered") from error

    def get(self, place: Place) -> Held | None:
        held = self.state.get(key(place))
        return None if held is None else Held(place, decode(Hook, held.data), held.etag, held.age)

    def claim(self, held: Held, seconds: float) -> Held | None:
        """Begin an attempt that nobody else makes for so long; None when somebody else was first, or it is gone."""
        return self._write(held, attempts=held.hook.attempts + 1, pause=seconds)

    def postpone(self, held: Held, seconds: float) -> None:
        """End a claim without success. A record that is gone or another's stays so."""
        self._write(held, pause=seconds)

    def _write(self, held: Held, **changes: float) -> Held | None:
        hook = msgspec.structs.replace(held.hook, **changes)
        etag = self.state.put_if(key(held.place), encode(hook), "application/json", etag=held.etag)
        return None if etag is None else Held(held.place, hook, etag, 0.0)

    def drop(self, place: Place) -> None:
        self.state.delete(key(place))

    def withdraw(self, place: Place) -> None:
        """What it was to tell of did not come to be. If this fails, it is dropped later as an orphan."""
        with suppress(*AWS_ERRORS):
            self.drop(place)
            self.agenda.drop(place)

    def places(self) -> Iterator[Place]:
        """All that are pending, of all tenants and nodes."""
        for name in self.state.keys(f"{FOLDER}/"):
            tenant, _, own = name.removeprefix(f"{FOLDER}/").partition("/")
            with suppress(UnknownJobError):
                check_id(own)
                yield Place(tenant, own)


def key(place: Place) -> str:
    return f"{FOLDER}/{place.tenant}/{place.id}"
