"""``/v1/batches``: many images at once."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Annotated

import falcon
import msgspec

from skylens.errors import BadRequestError, MessageError, TooLargeError, UnavailableError, UnsupportedImageError
from skylens.messages import Reply, Struct, decode, encode
from web_openstack import asked
from web_openstack.batch_answers import BatchAnswers, chunks
from web_openstack.batches import Batch, Batches, Item, Order, line
from web_openstack.door import Door
from web_openstack.uploads import Uploads
from web_openstack.webhooks.callbacks import Callbacks, promised

NDJSON = "application/x-ndjson"
AT_ONCE = 1024**2
"""Most bytes of an answer that is made without a slot, so whole, before its client reads: some 1,400 files."""
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
        if data.count(b'"') - data.count(b'\\"') > 2 * (most + 1):  # a MiB of short ones takes as much as 16 MiB
            raise TooLargeError(f"a list of more than {most} keys; a batch has at most {most} files")
        try:
            keys = decode(Keys, data).keys
        except MessageError as error:
            raise BadRequestError(error.detail) from error
        return self.batches.of_keys(keys, order, asked.gone(req))


@dataclass(frozen=True)
class BatchById:
    """``GET /v1/batches/{id}``: progress as JSON, or the answers one by one as NDJSON."""

    door: Door
    batches: Batches
    answers: BatchAnswers
    waits: asked.Waits

    def on_get(self, req: falcon.Request, resp: falcon.Response, batch: str) -> None:
        resp.set_header("Cache-Control", "no-store")
        with ExitStack() as visit:
            tenant, may_wait = visit.enter_context(self.door.visit(req, "read"))
            visit.enter_context(self.answers.reader(tenant))
            wait = self.waits.of_query(req) if req.get_param("wait") is not None else self.waits.longest
            found = self.batches.find(batch, tenant)
            if req.client_prefers((falcon.MEDIA_JSON, NDJSON)) == NDJSON:
                until = self.batches.jobs.clock.ticks() + (wait if may_wait else 0)
                lines = _Lines(self.answers, found, tenant, self._again(until, asked.gone(req)))
                lines.look()
                resp.content_type, body = NDJSON, iter(lines)
            else:
                resp.content_type, body = falcon.MEDIA_JSON, _report(found, self.answers.told(found, tenant))
            if may_wait:
                resp.stream = _Body(body, visit.pop_all())
            else:
                resp.data = _at_once(body)

    def _again(self, until: float, gone: Callable[[], bool]) -> Callable[[], bool]:
        """Waits for the next look; False when there is none, as the wait is over or nobody reads."""

        def again() -> bool:
            left = until - self.batches.jobs.clock.ticks()
            return not (left <= 0 or gone() or self.door.admission.draining.wait(min(POLL, left)))

        return again


class _Body:
    """A body made while it is read. The server closes it, whatever happens, which ends the visit."""

    def __init__(self, chunks: Iterator[bytes], visit: ExitStack) -> None:
        self._chunks, self._visit = chunks, visit

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._visit.close()


def _at_once(chunks: Iterator[bytes]) -> bytes:
    """A whole body that the server takes without waiting for its client. Raises UnavailableError if it does not."""
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) > AT_ONCE:
            raise UnavailableError("too many ask at once for so large a batch", retry_after=2, reason="overload")
    return body


def _report(batch: Batch, told: Iterator[list[tuple[Item, Reply | None]]]) -> Iterator[bytes]:
    """The progress of a batch as JSON: each job's state and answer, then how many there are of each."""
    states = Counter[object]()
    start = encode({"id": batch.id, "total": len(batch.items)})[:-1] + b',"jobs":['
    for some in told:
        lines = [line(*one) for one in some]
        states.update(one["status"] for one in lines)
        yield start + b",".join(map(encode, lines))
        start = b","
    yield b"]," + encode({state: states[state] for state in ("done", "failed", "working")})[1:]


class _Lines:
    """A line per finished job as it comes, until all are finished or there is no other look."""

    def __init__(self, answers: BatchAnswers, batch: Batch, tenant: str, again: Callable[[], bool]) -> None:
        """``again`` waits for the next look, and says whether there is one."""
        self._answers, self._tenant, self._again = answers, tenant, again
        self._refused = [item for item in batch.items if not item.id]
        self._left = {item.id: item for item in batch.items if item.id}
        self._found: list[str] = []

    def look(self) -> None:
        """Find what is new. Raises UnavailableError."""
        self._found = []
        self._found = self._answers.answered(self._left.keys(), self._tenant)

    def __iter__(self) -> Iterator[bytes]:
        for some in chunks(self._refused):
            yield b"".join(_bytes(item, None) for item in some)
        while True:
            for jobs in chunks(self._found):
                replies = self._answers.replies(jobs, self._tenant)
                yield b"".join(_bytes(self._left.pop(reply.id), reply) for reply in replies)
            if not self._left or not self._again():
                return
            with suppress(UnavailableError):  # it is in the log; the answers are there when AWS is
                self.look()


def _bytes(item: Item, reply: Reply | None) -> bytes:
    return encode(line(item, reply)) + b"\n"
