"""One image's way through the worker: fetch, check, recognise, store, reply, and only then delete the request.

Any step may be the last one of a process, and any delivery may be a repeat. The outcome's key follows from the
request, so a repeat finds the same outcome and sends it again; the door drops the second reply.

The fast path: an image that rode along in its request needs no fetching, and on its first delivery the reply goes out
while the outcome is being stored (docs/decisions/0014-fast-path.md).
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from app_aws.engine import Array, Engine, top
from skylens import logs, outcomes
from skylens.clock import Clock
from skylens.errors import MessageError, OverdueError, SkylensError, UndecodableImageError, UnknownJobError
from skylens.messages import Failure, Label, Model, Reply, Request, Result, Timings, encode, moment, read
from skylens.queues import Queue, Received
from skylens.reply_to import Replies
from skylens.store import Store

log = logs.get(__name__)

LARGEST = 512 * 1024**2
"""Most bytes of an image that a door may be set to take in."""


class Picked(Protocol):
    """A model at work: ``submit`` gives its batcher an image of a tenant, as what prepares it."""

    @property
    def engine(self) -> Engine: ...

    def submit(self, prepare: Callable[[], Array], tenant: str) -> "Future[Array]": ...


class Models(Protocol):
    """Which model answers which request."""

    def pick(self, request_id: str) -> AbstractContextManager[Picked]:
        """The model for this request, held from its preparation to its result."""
        ...


class Stopwatch:
    """Milliseconds that each stage took, failed ones too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = self._clock.ticks()
        try:
            yield
        finally:
            self.ms[f"{name}_ms"] = round((self._clock.ticks() - began) * 1000, 2)


@dataclass(frozen=True)
class Recogniser:
    """Answers one delivery at a time; may be called from many threads at once.

    ``instance`` names this worker in its answers; ``stores`` is where an outcome is stored while its reply is sent.
    """

    requests: Queue
    dead: Queue
    replies: Replies
    inputs: Store
    outputs: Store
    models: Models
    instance: str
    clock: Clock
    stores: Executor

    def handle(self, received: Received, worked: Callable[[], None] = lambda: None) -> bool:
        """Answer one request; True when it was an image. Whatever it raises, the request is still on its queue.

        ``worked`` is called once only storing and sending are left.
        """
        try:
            request = read(Request, received.body)
        except MessageError as error:
            self._bury(received, error)
            return False
        watch = Stopwatch(self.clock)
        outcome = outcomes.outcome_key(request.id, request.tenant)
        known = self._stored(outcome) if received.receives > 1 else None
        if known is None:
            reply = self._answer(request, received.sent, watch)
            worked()
            told = _words(reply)
            delivered = self._tell(request, outcome, encode(reply), watch, beside=self._is_fast(request, received))
        else:
            worked()
            told = {"repeated": True}
            delivered = self._reply(request, known, watch)
        with watch.stage("delete"):
            self.requests.delete([received.receipt])
        log.info(
            "image.done",
            id=request.id,
            tenant=request.tenant,
            **told,
            receives=received.receives,
            delivered=delivered,
            trace=request.trace,
            **watch.ms,
        )
        return True

    def _is_fast(self, request: Request, received: Received) -> bool:
        return bool(request.data) and received.receives == 1 and not request.suspect

    def _tell(self, request: Request, outcome: str, body: bytes, watch: Stopwatch, *, beside: bool) -> bool:
        """Store the outcome and send it, in this order or, ``beside``, at once; whether its reply queue was there."""
        if beside:
            storing = self.stores.submit(self._store, outcome, body)
            try:
                return self._reply(request, body, watch)
            finally:
                with watch.stage("store"):
                    storing.result()
        with watch.stage("store"):
            body = self._store(outcome, body)
        return self._reply(request, body, watch)

    def _reply(self, request: Request, body: bytes, watch: Stopwatch) -> bool:
        with watch.stage("reply"):
            return self.replies.send(request.reply_to, body)

    def _store(self, outcome: str, body: bytes) -> bytes:
        """Store the first answer, or find the one that was first (another worker's, or the door's for a dead letter).

        Whichever is stored is the only one a client ever sees.
        """
        if self.outputs.put_if(outcome, body, "application/json", etag=None):
            return body
        held = self._stored(outcome)
        if held is None:
            raise RuntimeError(f"{outcome} is being written by someone else")
        return held

    def _stored(self, outcome: str) -> bytes | None:
        """The outcome that is there. Raises MessageError when it is none, so that the dead-letter queue decides."""
        held = self.outputs.get(outcome, outcomes.LARGEST)
        if held is None:
            return None
        outcomes.read_outcome(outcome, held)
        return held.data

    def _bury(self, received: Received, error: MessageError) -> None:
        """Set aside a message that this release cannot read, as it came."""
        self.dead.send(received.body.encode())
        self.requests.delete([received.receipt])
        log.error("request.unreadable", reason=error.detail, receives=received.receives)

    def _answer(self, request: Request, queued: float, watch: Stopwatch) -> Reply:
        """The result, or what its client is to be told instead."""
        result, failure, started = None, None, self.clock.now()
        try:
            model, labels, digest = self._recognise(request, watch)
        except SkylensError as error:
            failure = Failure.of(error)
        else:
            result = Result(
                id=request.id,
                name=request.name,
                model=model,
                labels=labels,
                timings=Timings(
                    received=moment(request.received),
                    queued=moment(queued),
                    started=moment(started),
                    finished=moment(self.clock.now()),
                ),
                digest=digest,
            )
        return Reply(
            id=request.id,
            tenant=request.tenant,
            name=request.name,
            top=request.top,
            worker=self.instance,
            result=result,
            failure=failure,
        )

    def _recognise(self, request: Request, watch: Stopwatch) -> tuple[Model, tuple[Label, ...], str]:
        """Model, labels and digest. A request without a digest names an object that its client stored by itself."""
        if self.clock.now() > request.deadline:
            raise OverdueError
        data = request.data or self._fetch(request.key, watch)
        digest = hashlib.sha256(data).hexdigest()
        if request.digest and digest != request.digest.lower():
            raise UndecodableImageError("The stored image is not the one that was sent: its SHA-256 differs")
        with self.models.pick(request.id) as picked:

            def prepare() -> Array:
                with watch.stage("decode"):
                    return picked.engine.prepare(data)

            with watch.stage("infer"):  # waiting for its turn and decoding are part of it
                probabilities = picked.submit(prepare, request.tenant).result()
            return picked.engine.model, top(probabilities, picked.engine.labels, request.top), digest

    def _fetch(self, key: str, watch: Stopwatch) -> bytes:
        with watch.stage("fetch"):
            image = self.inputs.get(key, LARGEST)
        if image is None:
            raise UnknownJobError("The image is no longer stored")
        return image.data


def _words(reply: Reply) -> dict[str, object]:
    """What a log line says of an outcome."""
    if reply.failure:
        return {"failure": reply.failure.code}
    best = reply.result.labels[0] if reply.result else None
    return {"label": best.label, "score": best.score} if best else {}
