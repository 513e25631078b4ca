"""``/v1/batches``: many images at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import falcon
import msgspec

from skylens.errors import BadRequestError, MessageError
from skylens.messages import Reply, Struct, decode, encode
from web_openstack import asked
from web_openstack.batches import Batch, Batches, Item, line
from web_openstack.door import Door
from web_openstack.uploads import Uploads

NDJSON = "application/x-ndjson"
POLL = 0.5
"""Seconds between two looks for new answers."""
LONGEST_LIST = 16 * 1024**2
"""Bytes of a list of keys."""


class Keys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of a batch of stored images. ``keys``: objects of the input bucket under the tenant's prefix."""

    keys: list[Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]]


@dataclass(frozen=True)
class BatchList:
    """``POST /v1/batches``."""

    door: Door
    uploads: Uploads
    batches: Batches

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        top = asked.top(req)
        with self.door.admit(req) as tenant:
            batch = self._make(req, tenant, top)
        resp.status = falcon.HTTP_202
        resp.location = f"/v1/batches/{batch.id}"
        resp.content_type = falcon.MEDIA_JSON
        jobs = [line(item, None) for item in batch.items]
        resp.data = encode({"id": batch.id, "total": len(jobs), "jobs": jobs})

    def _make(self, req: falcon.Request, tenant: str, top: int) -> Batch:
        kind = (req.content_type or "").partition(";")[0].strip().lower()
        trace = asked.trace(req)
        if kind == "multipart/form-data":
            return self.batches.of_parts(self.uploads.each(req), tenant=tenant, top=top, trace=trace)
        if kind != falcon.MEDIA_JSON:
            raise BadRequestError('send files as multipart/form-data, or {"keys": [...]} as application/json')
        try:
            keys = decode(Keys, req.bounded_stream.read(LONGEST_LIST)).keys
        except MessageError as error:
            raise BadRequestError(error.detail) from error
        return self.batches.of_keys(keys, tenant=tenant, top=top, trace=trace)


@dataclass(frozen=True)
class BatchById:
    """``GET /v1/batches/{id}``: progress as JSON, or the answers one by one as NDJSON."""

    door: Door
    batches: Batches
    waits: asked.Waits

    def on_get(self, req: falcon.Request, resp: falcon.Response, batch: str) -> None:
        wait = self.waits.of_query(req) if req.get_param("wait") is not None else self.waits.longest
        resp.set_header("Cache-Control", "no-store")
        with self.door.visit(req) as tenant:
            found = self.batches.find(batch, tenant)
            if req.client_prefers((falcon.MEDIA_JSON, NDJSON)) == NDJSON:
                resp.content_type = NDJSON
                resp.stream = self._stream(found, tenant, wait, asked.gone(req))
            else:
                resp.content_type = falcon.MEDIA_JSON
                resp.data = encode(self.batches.progress(found, tenant))

    def _stream(self, batch: Batch, tenant: str, wait: float, gone: Callable[[], bool]) -> Iterator[bytes]:
        """A line per finished job as it comes, until all are finished, ``wait`` seconds have passed or nobody reads."""
        items = {item.id: item for item in batch.items if item.id}
        yield from (_bytes(item, None) for item in batch.items if not item.id)
        known: dict[str, Reply] = {}
        with self.door.admission.slot():
            until = self.batches.jobs.clock.ticks() + wait
            while True:
                for reply in self.batches.news(batch, tenant, known):
                    yield _bytes(items[reply.id], reply)
                left = until - self.batches.jobs.clock.ticks()
                if len(known) == len(items) or left <= 0 or gone() or self.door.admission.draining.is_set():
                    return
                self.door.admission.draining.wait(min(POLL, left))


def _bytes(item: Item, reply: Reply | None) -> bytes:
    return encode(line(item, reply)) + b"\n"
