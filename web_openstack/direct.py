"""Direct uploads: a big image goes from its client into the input bucket, and only its name comes through the door.

The door invites: it presigns a ``PUT`` of so many bytes with that SHA-256 to a key below the tenant, and keeps nothing.
What was stored is then submitted by the upload's id, which becomes the job's: submitted twice it is the same job. What
is no image to take is deleted as it is refused. An upload that nobody submits expires with the bucket's images.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from skylens import logs
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.errors import (
    BadRequestError,
    ExpiredError,
    MessageError,
    SkylensError,
    TooLargeError,
    UnavailableError,
    UnknownJobError,
)
from skylens.messages import Struct, decode
from skylens.store import Invitation, Store, Wanted
from web_openstack import header
from web_openstack.jobs import Jobs, check_id, made_at, unavailable
from web_openstack.uploads import Readable, Uploads, clean_name
from web_openstack.webhooks.callbacks import Callback

log = logs.get(__name__)

SECONDS = 900
"""For which an invitation is good."""
LOOKED_AT = 256 * 1024
"""First bytes of an image among which its header must be."""
KEPT = 16_384
"""Uploads known to be good, though their submission was refused, of which the first bytes are not fetched again."""
LONGEST = 16 * 1024
"""Bytes of a request's JSON."""
_Kind = TypeVar("_Kind", bound=Struct)
_ID = re.compile(r"([0-9a-f-]{36})\.([0-9a-f]{64})", re.ASCII)


class Announced(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/uploads``: what will be stored."""

    content_type: str
    size: int
    sha256: str


class Submitted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/images`` for an upload. ``name``: the client's file name, if it has one."""

    upload: str
    name: str = ""


@dataclass(frozen=True)
class Direct:
    inputs: Store
    jobs: Jobs
    uploads: Uploads
    """Whose limits hold here as well."""
    charge: Callable[[str], None]
    """Counts an image against a tenant's limits. Raises TooManyRequestsError."""
    _busy: set[str] = field(default_factory=set, init=False)
    """Uploads that this process is taking in just now."""
    _good: dict[str, None] = field(default_factory=dict, init=False)
    """Uploads that are images to take and not taken in yet, oldest first."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def invite(self, announced: Announced, tenant: str) -> tuple[str, Invitation]:
        """An upload's id, and how to store it. Raises BadRequestError, TooLargeError, UnavailableError."""
        kind = announced.content_type
        if kind not in header.KINDS:
            raise BadRequestError(f"content_type is {kind[:80]!r}; it must be one of {', '.join(header.KINDS)}")
        if announced.size < 1:
            raise BadRequestError(f"size is {announced.size}; it must be the image's bytes, at least 1")
        if announced.size > self.uploads.max_bytes:
            raise TooLargeError(f"size is {announced.size:,}; at most {self.uploads.max_bytes:,} bytes are taken")
        if not re.fullmatch(r"[0-9a-f]{64}", announced.sha256, re.ASCII):
            raise BadRequestError("sha256 must be the image's SHA-256 as 64 hexadecimal digits in small letters")
        name = f"{self.jobs.new_id()}.{announced.sha256}"
        wanted = Wanted(kind, announced.size, bytes.fromhex(announced.sha256))
        try:
            return name, self.inputs.invite(key(name, tenant), wanted, SECONDS)
        except AWS_ERRORS as error:  # no credentials to sign with
            raise unavailable(error) from error

    def submit(
        self,
        asked: Submitted,
        *,
        tenant: str,
        top: int,
        trace: str,
        turn: str = "",
        callback: Callback | None = None,
    ) -> str:
        """Take the stored image in; the job's id. Asked again, it is the same job. ``turn``: as of ``Jobs.submit``.

        It was charged when it was invited. Where the job was sent before and this node does not know it as unanswered,
        it is sent again, and charged again.

        Raises UnknownJobError (nothing is stored), ConflictError (another webhook is promised), ExpiredError,
        TooLargeError, UnsupportedImageError, UndecodableImageError, TooManyRequestsError, UnavailableError.
        """
        found = _ID.fullmatch(asked.upload)
        if found is None:
            raise UnknownJobError(f"no upload {asked.upload[:120]!r} here; its id is as POST /v1/uploads gave it")
        job, digest, place = found[1], found[2], key(asked.upload, tenant)
        check_id(job)
        if self.jobs.clock.now() - made_at(job) > self.jobs.retention:
            raise ExpiredError(f"upload {job} is older than images are kept")
        with self._alone(place):
            known = self.jobs.demand.is_outstanding(job, tenant) or self.jobs.look(job, tenant) is not None
            if not known and self._is_good(place):
                name = clean_name(asked.name) or job
                if callback and not callback.register(job):
                    callback.agree(job)
                # what is registered stays, whatever comes now: another node may just have told its client of it
                with suppress(UnknownJobError):  # or another node's request was first
                    if self.jobs.is_stored(job, tenant):
                        self.charge(tenant)
                    self.jobs.submit_stored(
                        place, tenant=tenant, top=top, trace=trace, job=job, turn=turn, digest=digest, name=name
                    )
                    self._clear(place)
                    return job
            if not known and not self.jobs.is_stored(job, tenant):
                raise UnknownJobError(
                    f"nothing is stored for upload {job} yet: its PUT did not come, or was refused, "
                    "or what it brought was no image to take and is gone"
                )
            if callback:
                callback.agree(job)
            return job

    @contextmanager
    def _alone(self, place: str) -> Iterator[None]:
        """One request at a time takes an upload in: until it has, no other can promise it. Raises UnavailableError."""
        with self._lock:
            if place in self._busy:
                raise UnavailableError("another request is taking this upload in", retry_after=1)
            self._busy.add(place)
        try:
            yield
        finally:
            with self._lock:
                self._busy.remove(place)

    def _is_good(self, place: str) -> bool:
        """Whether there is an image, and one to take. Raises what is wrong with it; then it is gone.

        An upload's id fixes its bytes, so no other verdict comes of a second look.
        """
        try:
            size = self.jobs.calls.submit(self.inputs.size, place).result()
            if size is not None and place in self._good:
                return True
            start = None if size is None else self.jobs.calls.submit(self.inputs.start, place, LOOKED_AT).result()
        except AWS_ERRORS as error:
            raise unavailable(error, "; nothing was taken in") from error
        if size is None or start is None:
            return False
        try:
            self._judge(start, size)
        except SkylensError:
            self._clear(place)
            raise
        with self._lock:
            self._good[place] = None
            if len(self._good) > KEPT:
                del self._good[next(iter(self._good))]
        return True

    def _judge(self, start: bytes, size: int) -> None:
        if size > self.uploads.max_bytes:
            raise TooLargeError(f"the image has {size:,} bytes; at most {self.uploads.max_bytes:,} are taken")
        header.peek(start, size, self.uploads.max_pixels)

    def _clear(self, place: str) -> None:
        """The job has a copy of its own, or never will. What stays for want of AWS's answer expires like any image."""
        with self._lock:
            self._good.pop(place, None)
        try:
            self.jobs.calls.submit(self.inputs.delete, place).result()
        except AWS_ERRORS as error:
            log.warning("upload.not_cleared", trouble=explain(error))


def key(name: str, tenant: str) -> str:
    """Where an upload lies: below its tenant, as every image."""
    return f"{tenant}/uploads/{name}"


def uploaded(job: str, tenant: str) -> str:
    """With what the key of a job's upload begins."""
    return key(f"{job}.", tenant)


def read(kind: type[_Kind], stream: Readable) -> _Kind:
    """A request's JSON. Raises BadRequestError, TooLargeError."""
    data = stream.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise TooLargeError(f"a request of more than {LONGEST:,} bytes of JSON")
    try:
        return decode(kind, data)
    except MessageError as error:
        raise BadRequestError(error.detail) from error
