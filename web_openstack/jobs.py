"""One job's way through the door: stored, queued, awaited, looked up again."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import msgspec
from uuid_utils import UUID

from skylens import logs
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.clock import Clock
from skylens.errors import ExpiredError, TooLargeError, UnavailableError, UnknownJobError, let_go
from skylens.messages import Reply, Request, Result, Timings, encode, encode_request, moment
from skylens.outcomes import LARGEST, outcome_key, read_outcome
from skylens.store import Object, Store
from web_openstack.berths import Berths
from web_openstack.deleted import Deleted, is_tombstone, tombstone
from web_openstack.demand import DemandCounter
from web_openstack.digests import Digests
from web_openstack.fairness import Standing
from web_openstack.recent import Recent
from web_openstack.result_cache import ResultCache, is_of_the_future
from web_openstack.uploads import Image, clean_name
from web_openstack.waiters import Waiter, Waiters

log = logs.get(__name__)

RETRY_AFTER = 5
"""Seconds after which to try again when AWS could not be reached."""
POLL = 1.0
"""Seconds between two looks at the output bucket for a job that another web node took in."""
COPYING = 8
"""Stored images looked for and copied at once, of tenants in turn: 6 KB of keys ask for a thousand of them."""
OWN = 64
"""Unanswered images up to which a request's own thread stores its image, which spares a hand-over. It takes 50 KB of
memory that the thread keeps, and a thousand waiting ones are not to have that each."""


class Sender(Protocol):
    def send(self, body: bytes, group: str = "") -> Callable[[], None]:
        """Begin to send to the request queue, in that message group.

        What is returned waits for the end, and raises what went wrong.
        """
        ...


@dataclass(frozen=True)
class Jobs:
    """Takes images in and finds their answers. Every call blocks on AWS for some milliseconds."""

    inputs: Store
    outputs: Store
    requests: Sender
    reply_queue: str
    retention: float
    """Seconds a result is kept."""
    largest: int
    """Most bytes of an image that a client stored by itself."""
    inline: int
    """Most bytes of an image that rides along in its request."""
    calls: Executor
    """Where AWS is called: few threads, so that a thousand waiting ones stay small, and no more calls at once than
    connections are kept."""
    demand: DemandCounter
    waiters: Waiters
    recent: Recent
    cache: ResultCache
    deleted: Deleted
    """The same one that ``recent`` and ``cache`` go by."""
    clock: Clock
    new_id: Callable[[], str]
    storing_well: threading.Event
    """Set while the input bucket takes what it is given."""
    allowance: Callable[[str, str], Callable[[Standing], None]]
    """Of a tenant and a ``turn``: what raises when one more image of it is too many."""
    heard: Callable[[Reply], None] = lambda _: None
    """Is told of every answer that this process meets, repeats included."""
    copying: Berths = field(default_factory=lambda: Berths(COPYING))
    digests: Digests = field(default_factory=Digests)

    def submit(self, image: Image, *, tenant: str, top: int, trace: str = "", job: str = "", turn: str = "") -> str:
        """Store the image, then queue its request. The job's id; from here on the promise holds.

        An image whose answer is known already gets that one, and is neither stored nor queued. ``job``: the id to use
        when this is a repeat; ``turn``: the Idempotency-Key that was told when to come back, if any. Raises
        UnavailableError, with nothing promised, when AWS fails.
        """
        job = job or self.new_id()
        key = f"{tenant}/{job}"
        digest = hashlib.sha256(image.data).hexdigest()
        known = self.cache.get(tenant, digest, top, self.clock.now())
        if known is not None:
            self._answer_again(known, job, tenant, image.name, top)
            return job
        with self._taking_in(job, tenant, turn):
            if len(image.data) <= self.inline and self.storing_well.is_set():
                self._store_beside(self._send(job, key, image.name, digest, tenant, top, trace, image.data), image, key)
            else:
                self._store(image, key)
                self._send(job, key, image.name, digest, tenant, top, trace)()
            if (job, tenant) in self.deleted:  # while this repeat of its request was on its way
                self.calls.submit(self.inputs.delete, key).result()
        return job

    def _answer_again(self, known: Result, job: str, tenant: str, name: str, top: int) -> None:
        """Store the answer to this job. If one is stored already, because this is a repeat, that one counts."""
        now = moment(self.clock.now())
        timings = Timings(received=now, queued=now, started=now, finished=now)
        result = msgspec.structs.replace(known, id=job, name=name, timings=timings, same_as=known.id)
        reply = Reply(id=job, tenant=tenant, name=name, top=top, result=result)
        place = outcome_key(job, tenant)
        try:
            storing = self.calls.submit(self.outputs.put_if, place, encode(reply), "application/json", etag=None)
            if storing.result() is not None:
                self.recent.add(reply)
        except AWS_ERRORS as error:
            raise unavailable(error, "; nothing was taken in") from error

    def _store_beside(self, sent: Callable[[], None], image: Image, key: str) -> None:
        """Store while its request is sent: what rides along needs no fetching.

        When one fails, the other was in vain: an answer comes that nobody asks for. So nothing is sent beside a bucket
        that failed last time.
        """
        try:
            self._store(image, key)
        finally:
            sent()

    def _store(self, image: Image, key: str) -> None:
        try:
            if self.demand.outstanding() <= OWN:
                self.inputs.put(key, image.data, image.kind)
            else:
                self.calls.submit(self.inputs.put, key, image.data, image.kind).result()
        except BaseException:
            self.storing_well.clear()
            raise
        self.storing_well.set()

    def submit_stored(
        self,
        key: str,
        *,
        tenant: str,
        top: int,
        trace: str = "",
        job: str = "",
        turn: str = "",
        digest: str = "",
        name: str = "",
    ) -> str:
        """Take in an image that lies in the input bucket already: copied there, so that the original may go.

        The worker looks at its bytes, and compares their ``digest`` where it is known. ``job`` and ``turn``: as of
        ``submit``; ``name``: by default the key's last part. Raises UnknownJobError when there is no such object,
        TooLargeError, UnavailableError.
        """
        if not key.startswith(f"{tenant}/"):
            raise UnknownJobError(
                f"the key is outside {tenant}/"
            )  # it is not repeated: as escapes it may be much longer
        job = job or self.new_id()
        with self._taking_in(job, tenant, turn):
            with self.copying.hold(tenant):
                self._copy(key, f"{tenant}/{job}")
            self._send(job, f"{tenant}/{job}", name or clean_name(key), digest, tenant, top, trace)()
            if (job, tenant) in self.deleted:  # as in ``submit``
                self.inputs.delete(f"{tenant}/{job}")
        return job

    def _copy(self, key: str, place: str) -> None:
        """Raises UnknownJobError, TooLargeError."""
        size = self.inputs.size(key)
        if size is not None and size > self.largest:
            raise TooLargeError(f"the object has {size:,} bytes; at most {self.largest:,} are taken")
        if size is None or not self.inputs.copy(key, place):
            raise UnknownJobError("no object of that key in the input bucket")

    @contextmanager
    def _taking_in(self, job: str, tenant: str, turn: str) -> Iterator[None]:
        """Count the job as outstanding from before it can be answered; not any more if it was not taken in.

        A repeat that fails leaves the first one's count. Raises what ``allowance`` raises.
        """
        is_first = self.demand.accepted(job, tenant, self.allowance(tenant, turn))
        try:
            yield
        except BaseException as error:
            if is_first:
                self.demand.withdrawn(job, tenant)
                self.digests.take(job, tenant)
            if isinstance(error, AWS_ERRORS):
                raise unavailable(error, "; nothing was taken in") from error
            raise

    def _send(
        self, job: str, key: str, name: str, digest: str, tenant: str, top: int, trace: str, data: bytes = b""
    ) -> Callable[[], None]:
        if digest:
            self.digests.note(job, tenant, digest)
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
            data=data,
        )
        return self.requests.send(encode_request(request), tenant)

    def look(self, job: str, tenant: str) -> Reply | None:
        """The stored answer, or None while there is none; one whose message never came is settled here.

        Raises ExpiredError past retention, and UnavailableError.
        """
        return self.begin_look(job, tenant)()

    def begin_look(self, job: str, tenant: str) -> Callable[[], Reply | None]:
        """Begin to ``look``. What is returned waits for the answer, and raises what ``look`` raises."""
        place = outcome_key(job, tenant)
        return partial(self._seen, job, place, self.calls.submit(self.outputs.get, place, LARGEST))

    def _seen(self, job: str, place: str, asked: "Future[Object | None]") -> Reply | None:
        try:
            held = asked.result()
        except AWS_ERRORS as error:
            raise unavailable(error) from error
        if self.is_expired(job):
            raise ExpiredError(f"job {job} is older than the {self.retention / 3600:g} hours that results are kept")
        if held is None:
            return None
        reply = read_outcome(place, held)
        self.settle(reply)
        return reply

    def is_expired(self, job: str) -> bool:
        return self.clock.now() - made_at(job) > self.retention

    def find(self, job: str, tenant: str, wait: float, gone: Callable[[], bool]) -> Reply | None:
        """The answer to a job of any web node, after at most ``wait`` seconds; None while it is worked on.

        Raises UnknownJobError when no such job was taken in, ExpiredError, UnavailableError. A deleted job's answer is
        its tombstone.
        """
        check_id(job)
        with self.waiters.expect(job, tenant) as waiter:
            known = self.recent.get(job, tenant)
            if known is not None and not self.is_expired(job):
                return known
            if self.demand.is_outstanding(job, tenant):
                reply = waiter.wait(wait, gone)
                return reply if reply or waiter.woken or gone() else self.look(job, tenant)
            reply = self.look(job, tenant)
            if reply is None and not self.is_stored(job, tenant):
                raise UnknownJobError(f"no job {job} here")
            return reply or self._poll(waiter, job, tenant, wait, gone)

    def _poll(self, waiter: Waiter, job: str, tenant: str, wait: float, gone: Callable[[], bool]) -> Reply | None:
        until, reply = self.clock.ticks() + wait, waiter.reply  # which may have come while S3 was asked
        while reply is None and not waiter.woken and self.clock.ticks() < until and not gone():
            reply = waiter.wait(min(POLL, until - self.clock.ticks()), gone) or self.look(job, tenant)
        return reply

    def is_stored(self, job: str, tenant: str) -> bool:
        """Whether the job's image is there, and so was taken in. Raises UnavailableError."""
        try:
            return self.calls.submit(self.inputs.size, f"{tenant}/{job}").result() is not None
        except AWS_ERRORS as error:
            raise unavailable(error) from error

    def tells(self, reply: Reply) -> bool:
        """Whether a client of this node has asked for this answer, or its image was taken in here."""
        place = reply.id, reply.tenant
        return self.demand.is_outstanding(*place) or self.waiters.expects(*place)

    def settle(self, reply: Reply) -> bool:
        """An answer has come: count it and wake whoever waits. False for a repeat, which changes nothing.

        A tombstone takes back what was known of its job; any other answer to a deleted job counts as its tombstone.
        """
        if is_tombstone(reply):
            self.deleted.add(reply.id, reply.tenant)  # from here on nobody adds it to the two below
            self.recent.drop(reply.id, reply.tenant)
            self.cache.drop(reply.id, reply.tenant)
        elif (reply.id, reply.tenant) in self.deleted:
            reply = tombstone(reply.id, reply.tenant)
        service = None
        if reply.result is not None:
            timings = reply.result.timings
            service = timings.finished.timestamp() - timings.started.timestamp()
        fresh = self.demand.answered(reply.id, reply.tenant, service)
        digest = self.digests.take(reply.id, reply.tenant)
        if fresh:
            self.recent.add(reply)
            is_its = reply.result is not None and reply.result.digest == digest != ""
            if is_its and not is_of_the_future(reply, self.clock.now()):
                self.cache.add(reply)
        self.waiters.resolve(reply)
        self.heard(reply)
        return fresh


def unavailable(error: Exception, so: str = "") -> UnavailableError:
    """AWS failed: say so without its inner words, which go to the log. ``so``: what that means for the client."""
    log.warning("aws.failed", trouble=explain(error))
    let_go(error)  # it may lead to a future that leads to it, and keep the image in one of its frames
    return UnavailableError(f"the cloud behind this door does not answer{so}", retry_after=RETRY_AFTER)


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
