"""One autoscaler acts at a time: an object in the state bucket, taken by conditional write.

Its age by S3's own clock is the sign of a living autoscaler, which the workers read as well.
"""

import msgspec

from skylens.clock import Clock
from skylens.errors import MessageError
from skylens.messages import Struct, decode, encode
from skylens.store import Store

KEY = "lease/autoscaler"
ASK_EVERY = 1.0
"""Least seconds between two looks at a lease that somebody else holds."""
INHERITED = 300.0
"""Age in seconds of a lease above which EC2 shows by itself what its holder had launched."""


class Held(Struct, frozen=True, kw_only=True):
    """What the object holds."""

    owner: str = ""
    """Unique per process; empty once released."""
    at: float = 0.0
    """Unix seconds by the owner's clock, for people."""
    launched: dict[str, float] = msgspec.field(default_factory=dict)
    """The owner's instances (id -> Unix seconds of their launch): a successor counts each until EC2 says it ended.

    So it launches nothing twice, although the first that EC2 shows it may lack some, or all.
    """


class Lease:
    """Call ``keep`` each tick; act only while ``held``.

    The time of a renewal is taken before the write is sent, and others wait until the object's age is above
    ``seconds``: so the holder stops believing in its lease before anybody else can have it. S3 tells ages in whole
    seconds, so ``seconds`` is a whole number too: an age above it was not rounded up from one below.
    """

    def __init__(self, store: Store, owner: str, seconds: int, clock: Clock) -> None:
        self._store, self._owner, self._seconds, self._clock = store, owner, seconds, clock
        self._etag: str | None = None
        self._renewed = self._since = 0.0
        self._asked = float("-inf")
        self.term = 0
        """How often it was taken: a new number means that others may have acted in between."""
        self.inherited: dict[str, float] = {}
        """The instances noted by whoever held it before, as ``Held.launched``."""

    @property
    def held(self) -> bool:
        return self._left > 0

    @property
    def _left(self) -> float:
        """Seconds for which it is still held."""
        return 0.0 if self._etag is None else self._renewed + self._seconds - self._clock.ticks()

    @property
    def call_seconds(self) -> float:
        """Longest that a call which needs the lease may take."""
        return self._seconds / 2

    @property
    def outlasts_call(self) -> bool:
        """Whether a call that begins now ends before anybody else can hold the lease."""
        return self._left >= self.call_seconds

    @property
    def held_for(self) -> float:
        """Seconds since it was taken; meaningful while ``held``."""
        return self._clock.ticks() - self._since

    def keep(self, launched: dict[str, float]) -> None:
        """Take it if free or fallen silent; renew it when a third of its time is over. Raises what boto3 raises."""
        if not self.held:
            self._take(launched)
        else:
            self.refresh(launched)

    def refresh(self, launched: dict[str, float]) -> None:
        """Renew it if it is held and a third of its time is over; never take it. Raises what boto3 raises."""
        if self.held and self._left <= self._seconds * 2 / 3:
            self.renew(launched)

    def renew(self, launched: dict[str, float]) -> None:
        """Write it anew now. Lost if somebody else wrote it; a repeated write of our own is recognised."""
        if not self._write(launched, self._etag):
            found = self._store.get(KEY)
            ours = found is not None and _read(found.data).owner == self._owner
            self._etag = found.etag if found and ours else None

    def release(self, launched: dict[str, float]) -> None:
        """Let the next one take it at once."""
        if self._etag is not None:
            body = Held(at=self._clock.now(), launched=launched)
            self._store.put_if(KEY, encode(body), "application/json", etag=self._etag)
            self._etag = None

    def _take(self, launched: dict[str, float]) -> None:
        self._etag = None
        if self._clock.ticks() - self._asked < ASK_EVERY:
            return
        self._asked = self._clock.ticks()
        found = self._store.get(KEY)
        before = _read(found.data) if found else Held()
        if found and before.owner not in {"", self._owner} and found.age <= self._seconds:
            return
        inherited = before.launched if found and found.age <= INHERITED else {}
        if self._write({**inherited, **launched}, found.etag if found else None):
            self.inherited = inherited
            self._since = self._renewed
            self.term += 1

    def _write(self, launched: dict[str, float], etag: str | None) -> bool:
        now = self._clock.ticks()
        body = Held(owner=self._owner, at=self._clock.now(), launched=launched)
        written = self._store.put_if(KEY, encode(body), "application/json", etag=etag)
        if written is None:
            return False
        self._etag, self._renewed = written, now
        return True


def _read(data: bytes) -> Held:
    """A damaged body is nobody's: it is taken over like a released one."""
    try:
        return decode(Held, data)
    except MessageError:
        return Held()
