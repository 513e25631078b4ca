"""One image's way through the worker: fetch, check, recognise, store, reply, and only then delete the request.

Any step may be the last one of a process, and any delivery may be a repeat. The outcome's key follows from the
request, so a repeat overwrites the same outcome or finds it and sends it again; the door drops the second reply.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from app_aws.engine import Array, Engine, top
from skylens import logs
from skylens.clock import Clock
from skylens.errors import MessageError, OverdueError, SkylensError, UndecodableImageError, UnknownJobError
from skylens.messages import Failure, Label, Reply, Request, Result, Timings, encode, moment, read
from skylens.queues import Queue, Received
from skylens.store import Store

log = logs.get(__name__)


class Replies(Protocol):
    """Where answers go: a queue by name."""

    def send(self, name: str, body: bytes) -> bool:
        """False when that queue is gone."""
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

    ``submit`` gives prepared images to the batcher; ``instance`` names this worker in its answers.
    """

    requests: Queue
    dead: Queue
    replies: Replies
    inputs: Store
    outputs: Store
    engine: Engine
    submit: Callable[[Array], "Future[Array]"]
    instance: str
    clock: Clock

    def handle(self, received: Received) -> bool:
        """Answer one request; True when it was an image. Whatever it raises, the request is still on its queue."""
        try:
            request = read(Request, received.body)
        except MessageError as error:
            self._bury(received, error)
            return False
        watch = Stopwatch(self.clock)
        outcome = f"{request.tenant}/{request.id}.json"
        known = self.outputs.get(outcome) if received.receives > 1 else None
        if known is None:
            reply = self._answer(request, received.sent, watch)
            body = encode(reply)
            told = _words(reply)
            with watch.stage("store"):
                body = self._store(outcome, body)
        else:
            body, told = known.data, {"repeated": True}
        with watch.stage("reply"):
            delivered = self.replies.send(request.reply_to, body)
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

    def _store(self, outcome: str, body: bytes) -> bytes:
        """Store the first answer, or find the one that was first (another worker's, or the door's for a dead letter).

        Whichever is stored is the only one a client ever sees.
        """
        if self.outputs.put_if(outcome, body, "application/json", etag=None):
            return body
        held = self.outputs.get(outcome)
        if held is None:
            raise RuntimeError(f"{outcome} is being written by someone else")
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
            labels, digest = self._recognise(request, watch)
        except SkylensError as error:
            failure = Failure.of(error)
        else:
            result = Result(
                id=request.id,
                name=request.name,
                model=self.engine.model,
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
            worker=self.instance,
            result=result,
            failure=failure,
        )

    def _recognise(self, request: Request, watch: Stopwatch) -> tuple[tuple[Label, ...], str]:
        """Labels and digest. A request without a digest names an object that its client stored by itself."""
        if self.clock.now() > request.deadline:
            raise OverdueError
        with watch.stage("fetch"):
            image = self.inputs.get(request.key)
        if image is None:
            raise UnknownJobError("The image is no longer stored")
        digest = hashlib.sha256(image.data).hexdigest()
        if request.digest and digest != request.digest.lower():
            raise UndecodableImageError("The stored image is not the one that was sent: its SHA-256 differs")
        with watch.stage("decode"):
            prepared = self.engine.prepare(image.data)
        with watch.stage("infer"):
            probabilities = self.submit(prepared).result()
        return top(probabilities, self.engine.labels, request.top), digest


def _words(reply: Reply) -> dict[str, object]:
    """What a log line says of an outcome."""
    if reply.failure:
        return {"failure": reply.failure.code}
    best = reply.result.labels[0] if reply.result else None
    return {"label": best.label, "score": best.score} if best else {}
