"""Which version of a model a deployment uses: one small object in its state bucket, changed by conditional write."""

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta

from skylens.decoders import decoder
from skylens.errors import ModelError
from skylens.messages import Struct, encode
from skylens.store import Store

KEY = "models/active.json"
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Version = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
_SPAN = 2**64


class _Id(Struct, frozen=True, kw_only=True):
    name: Name
    version: Version


class Canary(Struct, frozen=True, kw_only=True):
    """``share``: of all requests, above 0 and below 1, that go to ``model`` instead of the active one."""

    model: str
    share: float

    def __post_init__(self) -> None:
        parse(self.model)
        if not 0 < self.share < 1:
            raise ValueError(f"share = {self.share:g}: a canary's share is more than 0 and less than 1")

    def takes(self, request_id: str) -> bool:
        """Whether this request is the canary's: the same answer each time, on each worker."""
        drawn = int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8], "big")
        return drawn < self.share * _SPAN


class Active(Struct, frozen=True, kw_only=True):
    """Models are ``name@version``; ``at``: Unix seconds of the change; ``previous`` is empty at first."""

    model: str
    at: float
    previous: str = ""
    canary: Canary | None = None

    def __post_init__(self) -> None:
        for model in filter(None, (self.model, self.previous)):
            parse(model)


def parse(model_id: str) -> tuple[str, str]:
    """Name and version. Raises ModelError unless it is ``name@version``."""
    name, _, version = model_id.partition("@")
    decoder(_Id)
    try:
        msgspec.convert({"name": name, "version": version}, _Id)
    except msgspec.ValidationError as error:
        raise ModelError(f"{model_id!r}: a model is named as name@version, such as mobilenet_v2@1") from error
    return name, version


def read(store: Store) -> tuple[Active | None, str | None]:
    """What is active, if anything was ever activated, and the ETag to change it by. Raises ModelError."""
    found = store.get(KEY)
    if found is None:
        return None, None
    try:
        return decoder(Active).decode(found.data), found.etag
    except (msgspec.DecodeError, ModelError, UnicodeError) as error:
        raise ModelError(f"{KEY} in the state bucket cannot be read: {error}") from error


def write(store: Store, active: Active, etag: str | None) -> None:
    """Make it so, unless it was changed since it was read. Raises ModelError then."""
    if store.put_if(KEY, encode(active), "application/json", etag=etag) is None:
        raise ModelError("somebody else changed the active model meanwhile; look with `skylens models active` first")


def activated(before: Active | None, model: str, now: float) -> Active:
    """``model`` for every request; a canary, that one or another, is over."""
    previous = before.previous if before and before.model == model else before.model if before else ""
    return Active(model=model, at=now, previous=previous)


def tried(before: Active | None, model: str, share: float, now: float) -> Active:
    """``model`` for a share of the requests. Raises ModelError when there is nothing to compare it with."""
    if before is None:
        raise ModelError("nothing is active yet, so there is nothing to compare a canary with: activate one first")
    if before.model == model:
        raise ModelError(f"{model} is active already; a canary is another version")
    try:
        canary = Canary(model=model, share=share)
    except ValueError as error:
        raise ModelError(str(error)) from error
    return Active(model=before.model, at=now, previous=before.previous, canary=canary)


def rolled_back(before: Active | None, now: float) -> Active:
    """Without the canary, if there is one; else the version before. Raises ModelError when there is none."""
    if before is None or not (before.canary or before.previous):
        raise ModelError("there is nothing to go back to: no canary, and no version was active before")
    if before.canary:
        return Active(model=before.model, at=now, previous=before.previous)
    return Active(model=before.previous, at=now, previous=before.model)
