"""Idempotency keys: the same key and bytes are the same job, on any web node and across restarts.

The first request writes ``{id, digest, top}`` by conditional write, so of several at once exactly one makes the job.
Until the job is queued its record says ``sent: false``; whoever repeats the key then stores and queues it again under
the same id, which is harmless: the result's place is a function of the id.
"""

import hashlib
from dataclasses import dataclass

from skylens.aws_errors import AWS_ERRORS
from skylens.errors import BadRequestError, ConflictError
from skylens.messages import Struct, decode, encode
from skylens.store import Store
from web_openstack.jobs import Image, Jobs, unavailable

LONGEST = 255


class Record(Struct, frozen=True, kw_only=True):
    id: str
    digest: str
    top: int
    sent: bool = False


@dataclass(frozen=True)
class Idempotency:
    store: Store
    jobs: Jobs

    def submit(self, header: str, image: Image, *, tenant: str, top: int, trace: str) -> str:
        """Submit once per key. Raises BadRequestError (bad key), ConflictError (other bytes), UnavailableError."""
        if not (0 < len(header) <= LONGEST and header.isascii() and header.isprintable()):
            raise BadRequestError(f"Idempotency-Key must be 1 to {LONGEST} printable ASCII characters")
        place = f"idempotency/{tenant}/{hashlib.sha256(header.encode()).hexdigest()}"
        try:
            record = self._claim(place, image.digest, top)
            if (record.digest, record.top) != (image.digest, top):
                raise ConflictError("this Idempotency-Key came with another image or another `top` before")
            if not record.sent:
                self.jobs.submit(image, tenant=tenant, top=top, trace=trace, job=record.id)
                sent = Record(id=record.id, digest=record.digest, top=top, sent=True)
                self.store.put(place, encode(sent), "application/json")
        except AWS_ERRORS as error:
            raise unavailable(error) from error
        return record.id

    def _claim(self, place: str, digest: str, top: int) -> Record:
        """The record of this key: the one that is there, or a new one of ours."""
        held = self.store.get(place)
        if held is not None and held.age > self.jobs.retention:
            self.store.delete(place)
            held = None
        if held is None:
            mine = Record(id=self.jobs.new_id(), digest=digest, top=top)
            if self.store.put_if(place, encode(mine), "application/json", etag=None):
                return mine
            held = self.store.get(place)
        if held is None:
            raise ConflictError("another request with this Idempotency-Key is being taken in; ask again")
        return decode(Record, held.data)
