"""One job's way through the door: stored, queued, awaited, looked up again."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from skylens import logs
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.clock import Clock
from skylens.errors import ExpiredError, UnavailableError, UnknownJobError
from skylens.messages import Reply, Request, encode_request, read
from skylens.queues import Queue
from skylens.store import Store
from web_openstack.demand import DemandCounter
from web_openstack.waiters import Waiter, Waiters

log = logs.get(__name__)

RETRY_AFTER = 5
"""Seconds after which to try again when AWS could not be reached."""
POLL = 1.0
"""Seconds between two looks at the output bucket for a job that another web node took in."""


@dataclass(frozen=True)
class Image:
    """An image as it came in. ``kind``: media type by content; ``name``: the client's file name."""

    data: bytes
    kind: str
    name: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Jobs:
    """Takes images in and finds their answers. Every call blocks on AWS for some milliseconds."""

    inputs: Store
    outputs: Store
    requests: Queue
    reply_queue: str
    retention: float
    """Seconds a result is kept."""
    demand: DemandCounter
    waiters: Waiters
    clock: Clock
    new_id: Callable[[], str]

    def submit(self, image: Image, *, tenant: str, top: int, trace: str = "", job: str = "") -> str:
        """Store the image, then queue its request. The job's id; from here on the promise holds.

        ``job``: the id to use when this is a repeat. Raises UnavailableError, with nothing promised, when AWS fails.
        """
        job = job or self.new_id()
        key = f"{tenant}/{job}"
        self.demand.accepted(job, tenant)
        try:
            self.inputs.put(key, image.data, image.kind)
            self._send(job, key, image.name, image.digest, tenant, top, trace)
        except AWS_ERRORS as error:
            self.demand.withdrawn(job)
            raise unavailable(error) from error
        return job

    def submit_stored(self, key: str, *, tenant: str, top: int, trace: str = "") -> str:
        """Take in an image that lies in the input bucket already: copied there, so that the original may go.

        The worker computes its digest. Raises UnknownJobError when there is no such object, and UnavailableError.
        """
        if not key.startswith(f"{tenant}/"):
            raise UnknownJobError(f"key {key[:200]!r} is outside {tenant}/")
        job = self.new_id()
        self.demand.accepted(job, tenant)
        try:
            if not self.inputs.copy(key, f"{tenant}/{job}"):
                self.demand.withdrawn(job)
                raise UnknownJobError(f"no object {key!r} in the input bucket")
            self._send(job, f"{tenant}/{job}", key.rpartition("/")[2], "", tenant, top, trace)
        except AWS_ERRORS as error:
            self.demand.withdrawn(job)
            raise unavailable(error) from error
        return job

    def _send(self, job: str, key: str, name: str, digest: str, tenant: str, top: int, trace: str) -> None:
        now = self.clock.now()
        request = Request(
            id=job,
            key=key,
            digest=digest,
            reply_to=self.reply_queue,
            received=now,
            deadline=now + self.retention,
            name=name,
            tenant=tenant,
            top=top,
            trace=trace,
        )
        self.requests.send(encode_request(request))

    def outcome(self, job: str, tenant: str) -> Reply | None:
        """The stored answer, or None while there is none. Raises ExpiredError past retention, and UnavailableError."""
        try:
            held = self.outputs.get(f"{tenant}/{job}.json")
        except AWS_ERRORS as error:
            raise unavailable(error) from error
        if self.clock.now() - made_at(job) > self.retention:
            raise ExpiredError(f"job {job} is older than the {self.retention / 3600:g} hours that results are kept")
        return read(Reply, held.data) if held else None

    def find(self, job: str, tenant: str, wait: float, gone: Callable[[], bool]) -> Reply | None:
        """The answer to a job of any web node, after at most ``wait`` seconds; None while it is worked on.

        Raises UnknownJobError when no such job was taken in, ExpiredError, UnavailableError.
        """
        check_id(job)
        with self.waiters.expect(job) as waiter:
            if self.demand.is_outstanding(job):
                return waiter.wait(wait, gone)
            reply = self.outcome(job, tenant)
            if reply is None and not self._taken_in(job, tenant):
                raise UnknownJobError(f"no job {job} here")
            return reply or self._poll(waiter, job, tenant, wait, gone)

    def _poll(self, waiter: Waiter, job: str, tenant: str, wait: float, gone: Callable[[], bool]) -> Reply | None:
        until, reply = self.clock.ticks() + wait, None
        while reply is None and not waiter.woken and self.clock.ticks() < until and not gone():
            reply = waiter.wait(min(POLL, until - self.clock.ticks()), gone) or self.outcome(job, tenant)
        return reply

    def _taken_in(self, job: str, tenant: str) -> bool:
        try:
            return self.inputs.exists(f"{tenant}/{job}")
        except AWS_ERRORS as error:
            raise unavailable(error) from error

    def settle(self, reply: Reply) -> bool:
        """An answer has come: count it and wake whoever waits. False for a repeat, which changes nothing."""
        service = None
        if reply.result is not None:
            timings = reply.result.timings
            service = (timings.finished - timings.started).total_seconds()
        fresh = self.demand.answered(reply.id, service)
        self.waiters.resolve(reply)
        return fresh


def unavailable(error: Exception) -> UnavailableError:
    """AWS failed: say so without its inner words, which go to the log."""
    log.warning("aws.failed", trouble=explain(error))
    return UnavailableError("the cloud behind this door does not answer; nothing was taken in", retry_after=RETRY_AFTER)


def check_id(job: str) -> None:
    """Raise UnknownJobError unless ``job`` is a UUIDv7 in its canonical form."""
    try:
        parsed = UUID(job)
    except ValueError:
        parsed = None
    if parsed is None or str(parsed) != job or parsed.version != 7:  # noqa: PLR2004 - UUIDv7
        raise UnknownJobError(f"no job {job[:80]!r} here; a job's id is a UUID such as those this service gives")


def made_at(job: str) -> float:
    """Unix seconds in a UUIDv7: its first 48 bits are milliseconds (RFC 9562, section 5.7)."""
    return (UUID(job).int >> 80) / 1000
