"""Dead letters: requests that no worker survived. Their clients are told, and they are kept for the operator.

Each web process runs this; SQS gives each letter to one of them at a time. The order is: record in the state bucket,
outcome in the output bucket, reply, delete. A crash between any two steps repeats them, which changes nothing. What
this process has told a client is stored before a letter may say otherwise. Of a job that its client has deleted no
record stays.
"""

import hashlib
from dataclasses import dataclass

from skylens import logs
from skylens.aws_errors import AWS_ERRORS, explain, is_hopeless
from skylens.clock import Clock
from skylens.errors import MessageError, PoisonImageError, SkylensError
from skylens.messages import Failure, Reply, Request, Struct, encode, read
from skylens.outcomes import LARGEST, outcome_key, read_outcome
from skylens.queues import Queue, Received
from skylens.reply_to import Replies
from skylens.store import Object, Store
from web_openstack.deleted import is_tombstone
from web_openstack.metrics import WebMetrics
from web_openstack.unstored import Unstored

log = logs.get(__name__)


PREFIX = "dead/"
UNREADABLE = "unreadable/"
LONGEST = 2.0
"""Seconds of one round, after which other chores have their turn."""


class DeadLetter(Struct, frozen=True, kw_only=True):
    """``at``: Unix seconds when it was set aside; ``body``: the message as it was; ``reason``: for people."""

    at: float
    reason: str
    body: str


@dataclass(frozen=True)
class DeadLetters:
    queue: Queue
    replies: Replies
    state: Store
    outputs: Store
    unstored: Unstored
    clock: Clock
    metrics: WebMetrics

    def keep(self) -> None:
        """Settle what there is, for some seconds at most. Raises what ``poll`` raises."""
        until = self.clock.ticks() + LONGEST
        while self.poll() and self.clock.ticks() < until:
            pass

    def poll(self, wait: int = 0) -> int:
        """Settle up to ten dead letters; how many there were.

        One that cannot be settled comes again, and keeps no other; then raises whatever was wrong with the first such.
        """
        received, troubles = self.queue.receive(10, wait), []
        for message in received:
            try:
                self._settle(message)
                self.queue.delete([message.receipt])
            except Exception as error:  # noqa: BLE001 - raised below, once the others are settled
                troubles.append(error)
        if troubles:
            raise troubles[0]
        return len(received)

    def _settle(self, message: Received) -> None:
        try:
            request = read(Request, message.body)
        except MessageError as unreadable:
            log.exception("dead.unreadable")
            self.metrics.dead.inc()
            digest = hashlib.sha256(message.body.encode(errors="replace")).hexdigest()[:12]
            self._keep(f"{PREFIX}{UNREADABLE}{message.sent:.3f}-{digest}", unreadable.detail, message.body)
            return
        place = f"{request.tenant}/{request.id}"
        error: SkylensError = PoisonImageError()
        self._keep(PREFIX + place, error.detail, message.body)
        key = outcome_key(request.id, request.tenant)
        self.unstored.store(key)
        reply = Reply(id=request.id, tenant=request.tenant, name=request.name, failure=Failure.of(error))
        if self.outputs.put_if(key, encode(reply), "application/json", etag=None):
            log.error("dead.letter", id=request.id, tenant=request.tenant, name=request.name)
            self.metrics.dead.inc()
            self.replies.send(request.reply_to, encode(reply))
            return
        try:
            held = self._held(key)
            is_deleted = held is not None and is_tombstone(read_outcome(key, held))
        except MessageError:  # whoever stored that stops no other letter; who waits is told as of a poisonous image
            log.exception("outcome.unreadable", key=key)
            self.replies.send(request.reply_to, encode(reply))
            return
        if is_deleted:
            self.state.delete(PREFIX + place)
        if held is not None:
            self.replies.send(request.reply_to, held.data)

    def _held(self, key: str) -> Object | None:
        """The outcome that is there. Raises MessageError when S3 will never give it out."""
        try:
            return self.outputs.get(key, LARGEST)
        except AWS_ERRORS as error:
            if is_hopeless(error):
                raise MessageError(f"the outcome {key}: {explain(error)}") from error
            raise

    def _keep(self, place: str, reason: str, body: str) -> None:
        letter = DeadLetter(at=self.clock.now(), reason=reason, body=body)
        self.state.put(place, encode(letter), "application/json")
