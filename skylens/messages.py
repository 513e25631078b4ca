"""Everything the tiers say to each other: the only place where they meet.

Queue messages (``Request``, ``Reply``, ``WorkerEvent``) are versioned. Unknown fields are ignored, so a newer minor
version may add some; a higher major version is refused with ``MessageError`` and goes to the dead-letter queue.
The other structs travel over loopback HTTP between the web tier and the autoscaler of one release.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from skylens.decoders import decoder
from skylens.errors import MessageError, SkylensError, by_code

VERSION = 1
REQUEST_LIMIT = 1024
"""Largest encoded request in bytes, an image that rides along not counted."""
INLINE_LIMIT = 180_000
"""Largest image in bytes that may ride along: as base64 it leaves room in a message of 256 KiB."""

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
"""Of a job, a tenant, an instance: parts of keys in S3."""
Key = Annotated[str, Meta(max_length=1024, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*\Z")]
QueueName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,80}\Z")]
Text = Annotated[str, Meta(max_length=1024, pattern=r"^[^\x00-\x1f\x7f\ufffe\uffff]*\Z")]
"""What SQS carries: an answer with other characters could never be sent."""
UnixTime = Annotated[float, Meta(ge=0, le=253_402_300_799)]
"""Seconds, up to the end of the year 9999."""
LARGEST_COUNT = 1_000_000_000
Count = Annotated[int, Meta(ge=0, le=LARGEST_COUNT)]
LONGEST_WORK = 86_400.0
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_WORK)]
"""Of work."""
Slots = Annotated[int, Meta(ge=0, le=256)]
Digest = Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{64})?\Z")]
PerSecond = Annotated[tuple[Count, ...], Meta(min_length=1, max_length=3600)]


Moment = Annotated[datetime, Meta(tz=True)]
MOST_LABELS, LONGEST_LABEL = 100, 1024
"""Of one image, and bytes of one."""


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all structs here: immutable, built by name."""


class Message(Struct, frozen=True, kw_only=True):
    """Base of what crosses a queue. ``v``: the major version it was written in, always on the wire."""

    v: int = msgspec.field(default_factory=lambda: VERSION)  # a plain default would be left out by omit_defaults


class Request(Message, frozen=True, kw_only=True, omit_defaults=True):
    """One image to recognise. ``key``: its object in the input bucket."""

    id: Name
    key: Key
    digest: Digest
    """SHA-256 of the bytes, hex; empty when the client stored the object itself and the door never saw its bytes."""
    reply_to: QueueName
    """Name of the queue that the answer goes to."""
    received: UnixTime
    """Unix seconds when the door took the image in."""
    deadline: UnixTime
    """Unix seconds after which nobody wants the answer."""
    name: Text = ""
    """The client's file name, at most 255 bytes; never used to find anything."""
    tenant: Name = "default"
    top: Count = 5
    trace: Text = ""
    """W3C ``traceparent`` of the HTTP request."""
    suspect: bool = False
    """Set by a worker that queued it anew: it was in work, or received, when a worker died, so it is worked alone."""
    data: bytes = b""
    """A small image itself, which then needs no fetching; it is being stored under ``key`` as well."""


class Model(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=64)]
    version: Annotated[str, Meta(max_length=64)]


class Label(Struct, frozen=True, kw_only=True):
    label: Annotated[str, Meta(max_length=LONGEST_LABEL)]
    score: float


class Timings(Struct, frozen=True, kw_only=True):
    """UTC times: taken in by the door, put on the queue (as SQS stamped it), work started and finished."""

    received: Moment
    queued: Moment
    started: Moment
    finished: Moment


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was seen in one image. ``labels``: best first; ``digest``: SHA-256 of the image, hex."""

    id: str
    name: str
    model: Model
    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=MOST_LABELS)]
    timings: Timings
    digest: str
    same_as: str = ""
    """Id of the job that this answer was found for, when the same image came again and no worker was asked."""


class Failure(Struct, frozen=True, kw_only=True):
    """Why there is no result. ``code`` is that of a class in ``skylens.errors``."""

    code: str
    detail: str

    @classmethod
    def of(cls, error: SkylensError) -> "Failure":
        return cls(code=error.code, detail=error.detail)

    def error(self) -> SkylensError:
        return by_code(self.code)(self.detail)


class Reply(Message, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to one request, sent to its reply queue and stored in the output bucket: a result or a failure."""

    id: Name
    tenant: Name
    name: str = ""
    worker: str = ""
    """Instance id of the worker that answered; empty when the door did, for a dead letter or an image seen before."""
    top: Count = 0
    """How many labels were asked for, where it is known; there are fewer when the model has no more."""
    result: Result | None = None
    failure: Failure | None = None

    def __post_init__(self) -> None:
        if (self.result is None) == (self.failure is None):
            raise ValueError("a reply holds a result or a failure, one of them")


class WorkerEvent(Message, frozen=True, kw_only=True, omit_defaults=True):
    """What one worker says of itself, on the events queue."""

    kind: Literal["launched", "ready", "heartbeat", "draining", "stopped"]
    instance: Name
    at: UnixTime
    """Unix seconds by the worker's clock."""
    in_flight: Count = 0
    slots: Slots = 0
    """How many images the worker takes at once."""
    done: Count = 0
    """Images answered since the worker started."""
    service_times: Annotated[tuple[Seconds, ...], Meta(max_length=10_000)] = ()
    """Seconds of work per image, for those answered since the last event."""
    reason: str = ""
    """Why it drains or stopped."""
    cpu: Annotated[float, Meta(ge=0, le=100)] | None = None
    """Percent of the instance's processors that were busy since the last event, 0 to 100."""

    @property
    def busy(self) -> bool:
        return self.in_flight > 0


class Demand(Struct, frozen=True, kw_only=True):
    """``GET /internal/demand``: what one web node took in and answered, counted, not guessed."""

    node: Text
    at: UnixTime
    """Unix seconds by the node's clock."""
    started: UnixTime
    """Unix seconds when the node's process started: what it took in before, it does not know."""
    arrivals: PerSecond
    """Accepted images per whole second; the last entry is the current, unfinished second."""
    completions: PerSecond
    """Answered images per whole second, aligned with ``arrivals``."""
    outstanding: Count
    oldest: UnixTime
    """Age in seconds of the oldest unanswered image; 0 when none is outstanding."""
    service_times: Annotated[tuple[Seconds, ...], Meta(max_length=10_000)]
    """Seconds of work per image as the last replies reported them."""


class Worker(Struct, frozen=True, kw_only=True):
    """One instance as the autoscaler sees it."""

    instance: str
    state: Literal["pending", "booting", "ready", "busy", "idle", "draining", "stopping"]
    age: float
    """Seconds since it was launched."""
    in_flight: int = 0
    done: int = 0
    type: str = ""
    """EC2 instance type; empty until EC2 showed it."""
    spot: bool = False
    resident: bool = False
    """Never leaves for being idle."""
    cpu: float | None = None
    """Percent of its processors that are busy; None until told, and when its word is old."""


class FleetReport(Struct, frozen=True, kw_only=True):
    """``PUT /internal/fleet``: what the autoscaler sees and decided, told to each web node every tick."""

    at: UnixTime
    policy: str
    desired: Count
    minimum: Count
    maximum: Count
    reason: str
    workers: tuple[Worker, ...]
    boot_seconds: Annotated[float, Meta(ge=0, le=1e9)]
    """Expected seconds from launch call to a ready worker."""
    slots: Count
    """Images one worker takes at once."""
    ceiling: Count | None = None
    """Most instances that there may be now: fewer than ``maximum`` where a budget or capacity ends; None: unknown."""
    closed: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    """Seconds until there may be any instance again, while there is none and the day's budget is spent."""
    outstanding: Count = 0
    """Unanswered images of all web nodes."""
    nodes: Count = 1
    """Web nodes that share the fleet."""


_Any = TypeVar("_Any")
_M = TypeVar("_M", bound=Message)


UNCARRIED = {"\ufffe".encode(): b"\\ufffe", "\uffff".encode(): b"\\uffff"}
"""Characters that JSON may hold and SQS does not carry, and how JSON writes them so that it does."""


def encode(value: object) -> bytes:
    """As JSON that SQS carries, whatever texts it holds."""
    data = msgspec.json.encode(value)
    for raw, escaped in UNCARRIED.items():
        data = data.replace(raw, escaped)
    return data


def decode(kind: type[_Any], data: bytes | str) -> _Any:
    """Read JSON as ``kind``. Raises MessageError naming the field that is wrong."""
    try:
        return decoder(kind).decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        said = str(error)
        short = said if len(said) <= 300 else f"{said[:200]} ... {said[-100:]}"  # noqa: PLR2004 - it may quote the value
        raise MessageError(f"not a {kind.__name__}: {short}") from error


def read(kind: type[_M], data: bytes | str) -> _M:
    """Read a queue message. Raises MessageError when it is damaged or of a higher major version."""
    try:
        found = decode(kind, data)
    except MessageError:
        _check_version(kind, decode(Message, data).v)  # of a higher version everything else may differ
        raise
    _check_version(kind, found.v)
    return found


def _check_version(kind: type[Message], written: int) -> None:
    if not 1 <= written <= VERSION:
        raise MessageError(f"{kind.__name__} of major version {written}; this release reads 1 to {VERSION}")


def encode_request(request: Request) -> bytes:
    """Encode a request for the queue, its file name cut if that makes it fit.

    Raises MessageError above ``REQUEST_LIMIT`` bytes, or with an image above ``INLINE_LIMIT``.
    """
    if len(request.data) > INLINE_LIMIT:
        raise MessageError(f"an image of {len(request.data)} bytes; at most {INLINE_LIMIT} may ride on the queue")
    riding = 0 if not request.data else len('"data":"",') + 4 * -(-len(request.data) // 3)
    data = encode(request)
    while len(data) - riding > REQUEST_LIMIT and request.name:
        request = msgspec.structs.replace(request, name=request.name[: len(request.name) // 2])
        data = encode(request)
    if len(data) - riding > REQUEST_LIMIT:
        raise MessageError(f"a request of {len(data) - riding} bytes; at most {REQUEST_LIMIT} may ride on the queue")
    return data


def moment(unix: float) -> datetime:
    """Unix seconds as a UTC datetime."""
    return datetime.fromtimestamp(unix, UTC)
