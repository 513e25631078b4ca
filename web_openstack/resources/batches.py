"""``/v1/batches``: many images at once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from threading import Event
from typing import Annotated

import falcon
import msgspec

from skylens.errors import BadRequestError, MessageError, TooLargeError, UnavailableError, UnsupportedImageError
from skylens.messages import Reply, Struct, decode, encode
from web_openstack import asked
from web_openstack.batches import Batch, Batches, Item, Order, line
from web_openstack.door import Door
from web_openstack.uploads import Uploads
from web_openstack.webhooks.callbacks import Callbacks, promised

NDJSON = "application/x-ndjson"
POLL = 0.5
"""Seconds between two looks for new answers."""
LONGEST_KEY = 1100
"""Bytes of one of a list's keys on average: S3's longest has 1,024, and there are quotes and blanks around it."""


class Keys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of a batch of stored images. ``keys``: objects of the input bucket under the tenant's prefix."""

    keys: list[Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]]


@dataclass(frozen=True)
class BatchList:
    """``POST /v1/batches``."""

    door: Door
    uploads: Uploads
    batches: Batches
    callbacks: Callbacks

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        with self.door.admit_many(req) as tenant:
            name = self.batches.jobs.new_id()
            turn = req.get_header("Idempotency-Key") or ""
            order = Order(tenant, asked.top(req), asked.trace(req), lambda: self.door.charge(tenant), name, turn)
            with promised(self.callbacks.asked(req, tenant, "batch"), name):
                batch = self._make(req, order)
        resp.status = falcon.HTTP_202
        resp.location = f"/v1/batches/{batch.id}"
        resp.content_type = falcon.MEDIA_JSON
        jobs = [line(item, None) for item in batch.items]
        resp.data = encode({"id": batch.id, "total": len(jobs), "jobs": jobs})

    def _make(self, req: falcon.Request, order: Order) -> Batch:
        kind = asked.media(req)
        if kind == "multipart/form-data":
            return self.batches.of_parts(self.uploads.each(req), order)
        if kind != falcon.MEDIA_JSON:
            raise UnsupportedImageError('send files as multipart/form-data, or {"keys": [...]} as application/json')
        most = self.batches.most
        longest = LONGEST_KEY * most
        data = req.bounded_stream.read(longest + 1)
        if len(data) > longest:
            raise TooLargeError(f"a list of keys of more than {longest:,} bytes; a batch has at most {most} files")
        try:
            keys = decode(Keys, data).keys
        except MessageError as error:
            raise BadRequestError(error.detail) from error
        return self.batches.of_keys(keys, order)


@dataclass(frozen=True)
class BatchById:
    """``GET /v1/batches/{id}``: progress as JSON, or the answers one by one as NDJSON."""

    door: Door
    batches: Batches
    waits: asked.Waits

    def on_get(self, req: falcon.Request, resp: falcon.Response, batch: str) -> None:
        resp.set_header("Cache-Control", "no-store")
        with ExitStack() as visit:
            tenant, may_wait = visit.enter_context(self.door.visit(req, "read"))
            wait = self.waits.of_query(req) if req.get_param("wait") is not None else self.waits.longest
            found = self.batches.find(batch, tenant)
            if req.client_prefers((falcon.MEDIA_JSON, NDJSON)) == NDJSON:
                lines = _Lines(self.batches, found, tenant, self.door.admission.draining, asked.gone(req))
                lines.look()
                resp.content_type = NDJSON
                lines.begin(wait if may_wait else 0, visit.pop_all())
                resp.stream = lines
            else:
                resp.content_type = falcon.MEDIA_JSON
                resp.data = encode(self.batches.progress(found, tenant))


class _Lines:
    """A line per finished job as it comes, until all are finished, the wait is over or nobody reads.

    The server iterates it and closes it, whatever happens; closing frees the slot that it holds.
    """

    def __init__(self, batches: Batches, batch: Batch, tenant: str, draining: Event, gone: Callable[[], bool]) -> None:
        self._batches, self._batch, self._tenant = batches, batch, tenant
        self._draining, self._gone = draining, gone
        self._items = {item.id: item for item in batch.items if item.id}
        self._ready = [_bytes(item, None) for item in batch.items if not item.id]
        self._known: dict[str, Reply] = {}
        self._until = 0.0
        self._slot = ExitStack()

    def look(self) -> None:
        """Fetch what is new. Raises UnavailableError."""
        fresh = self._batches.news(self._batch, self._tenant, self._known)
        self._ready += [_bytes(self._items[reply.id], reply) for reply in fresh]

    def begin(self, wait: float, slot: ExitStack) -> None:
        self._until, self._slot = self._batches.jobs.clock.ticks() + wait, slot

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield from self._ready
            self._ready = []
            left = self._until - self._batches.jobs.clock.ticks()
            if len(self._known) == len(self._items) or left <= 0 or self._gone():
                return
            if self._draining.wait(min(POLL, left)):
                return
            with suppress(UnavailableError):  # it is in the log; the answers are there when AWS is
                self.look()

    def close(self) -> None:
        self._slot.close()


def _bytes(item: Item, reply: Reply | None) -> bytes:
    return encode(line(item, reply)) + b"\n"
