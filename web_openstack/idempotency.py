"""Idempotency keys: the same key and bytes are the same job, on any web node and across restarts.

The first request writes ``{id, digest, top}`` by conditional write, so of several at once exactly one makes the job.
Until the job is queued its record says ``sent: false``; whoever repeats the key then stores and queues it again under
the same id, unless it is answered or deleted by then. That is harmless: the result's place is a function of the id.
"""

import hashlib
from dataclasses import dataclass

import msgspec

from skylens import logs
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.errors import BadRequestError, ConflictError, UnavailableError
from skylens.messages import Struct, decode, encode
from skylens.store import Store
from web_openstack.jobs import Jobs, made_at, unavailable
from web_openstack.uploads import Image
from web_openstack.webhooks.callbacks import Callback

log = logs.get(__name__)

LONGEST = 255


class Record(Struct, frozen=True, kw_only=True):
    id: str
    digest: str
    top: int
    callback: str = ""
    """SHA-256 of the webhook's URL, in hex; empty without one."""
    sent: bool = False


@dataclass(frozen=True)
class Idempotency:
    store: Store
    jobs: Jobs

    def submit(
        self, header: str, image: Image, *, tenant: str, top: int, trace: str, callback: Callback | None = None
    ) -> str:
        """Submit once per key, and register its webhook before.

        Raises BadRequestError (bad key), ConflictError (another request), TooManyRequestsError, UnavailableError.
        """
        if not (0 < len(header) <= LONGEST and header.isascii() and header.isprintable()):
            raise BadRequestError(f"Idempotency-Key must be 1 to {LONGEST} printable ASCII characters")
        place = f"idempotency/{tenant}/{hashlib.sha256(header.encode()).hexdigest()}"
        digest, told = hashlib.sha256(image.data).hexdigest(), callback.digest if callback else ""
        try:
            record, is_new = self._claim(place, digest, top, told)
        except AWS_ERRORS as error:
            raise unavailable(error, "; nothing was taken in") from error
        if (record.digest, record.top, record.callback) != (digest, top, told):
            raise ConflictError("this Idempotency-Key came with another image, `top` or Callback-Url before")
        if not record.sent:
            if is_new or self.jobs.look(record.id, tenant) is None:
                if callback:
                    callback.register(record.id)
                self.jobs.submit(image, tenant=tenant, top=top, trace=trace, job=record.id, turn=header)
            self._note_sent(place, msgspec.structs.replace(record, sent=True))
        return record.id

    def _claim(self, place: str, digest: str, top: int, callback: str) -> tuple[Record, bool]:
        """The record of this key: the one that is there, or, if there is none or its job has expired, a new one.

        And whether it is new.
        """
        held = self.store.get(place)
        if held is not None:
            record = decode(Record, held.data)
            if self.jobs.clock.now() - made_at(record.id) <= self.jobs.retention:
                return record, False
        mine = Record(id=self.jobs.new_id(), digest=digest, top=top, callback=callback)
        if self.store.put_if(place, encode(mine), "application/json", etag=held.etag if held else None):
            return mine, True
        raise UnavailableError("another request with this Idempotency-Key is being taken in", retry_after=1)

    def _note_sent(self, place: str, record: Record) -> None:
        """Spare a repeat its work. Failing to do so costs a second, harmless delivery, and the job is taken in."""
        try:
            self.store.put(place, encode(record), "application/json")
        except AWS_ERRORS as error:
            log.warning("idempotency.not_noted", id=record.id, trouble=explain(error))
