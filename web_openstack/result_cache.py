"""Answers by an image's content: the same picture again, from the same tenant, needs no worker.

What is kept here is lost with the process; the answers themselves lie in the output bucket, from where the newest are
fetched after a start (``refill.py``, docs/decisions/0017-the-same-picture-again.md).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from skylens.active import Active
from skylens.messages import Reply, Result, decode, encode
from web_openstack.deleted import Deleted

OVERHEAD = 700
"""Bytes that an entry takes beside its answer, as measured."""


AHEAD = 900.0
"""Seconds by which another machine's clock may be ahead: S3 refuses those that are off by more."""


class _Key(NamedTuple):
    tenant: str
    digest: str
    model: str


class _Entry(NamedTuple):
    job: str
    data: bytes


class ResultCache:
    """Bounded by bytes: what was asked for longest ago goes first.

    Written by the reply thread and by housekeeping, read by request threads. It knows nothing until it was told once
    what is active, and rests while a canary is tried, which is to see its share of all images.
    """

    def __init__(self, most: int, kept: float, deleted: Deleted, hit: Callable[[], None] = lambda: None) -> None:
        """``most``: bytes, 0 for none; ``kept``: seconds that an answer counts; ``hit``: called at each one found.

        ``deleted``: whose answers are not kept; a job goes in there before it is dropped here.
        """
        self._most, self._kept, self._deleted, self._hit = most, kept, deleted, hit
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._places: dict[tuple[str, str], _Key] = {}
        self._size, self._lock = 0, threading.Lock()
        self._told = False
        self._active: Active | None = None
        self._latest: tuple[float, str] = (0.0, "")

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def follow(self, wanted: Active | None) -> None:
        """What is active; None when nobody ever said: then the model of the latest answer counts."""
        with self._lock:
            self._told, self._active = True, wanted

    def add(self, reply: Reply) -> None:
        """Keep the answer to an image; failures, and answers found here, are not kept."""
        result = reply.result
        if result is None or result.same_as or not result.digest or not self._most:
            return
        model = f"{result.model.name}@{result.model.version}"
        key, data, place = _Key(reply.tenant, result.digest, model), encode(reply), (reply.id, reply.tenant)
        with self._lock:
            if place in self._deleted:
                return
            self._latest = max(self._latest, (result.timings.finished.timestamp(), model))
            for old in (key, self._places.get(place, key)):
                self._drop(old)
            self._entries[key], self._places[place] = _Entry(reply.id, data), key
            self._size += len(data) + OVERHEAD
            while self._size > self._most:
                self._drop(next(iter(self._entries)))

    def drop(self, job: str, tenant: str) -> None:
        """Forget the answer that was made for this job; jobs that were answered with it have their own outcomes."""
        with self._lock:
            if (job, tenant) in self._places:
                self._drop(self._places[job, tenant])

    def get(self, tenant: str, digest: str, top: int, now: float) -> Result | None:
        """The answer of the model at work: ``top`` labels, or all there are. None when that is not known."""
        with self._lock:
            data = self._find(tenant, digest)
        if data is None:
            return None
        reply = decode(Reply, data)
        found = reply.result
        if found is None or now - found.timings.finished.timestamp() > self._kept:
            return None
        if len(found.labels) < top and len(found.labels) >= reply.top:  # there may be more
            return None
        self._hit()
        return msgspec.structs.replace(found, labels=found.labels[:top])

    def _find(self, tenant: str, digest: str) -> bytes | None:
        if not self._told or (self._active and self._active.canary):
            return None
        key = _Key(tenant, digest, self._active.model if self._active else self._latest[1])
        if key in self._entries:
            self._entries.move_to_end(key)
        found = self._entries.get(key)
        return found.data if found else None

    def _drop(self, key: _Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            del self._places[entry.job, key.tenant]
            self._size -= len(entry.data) + OVERHEAD


def is_of_the_future(reply: Reply, now: float) -> bool:
    """Whether it says that its image was finished later than any clock tells: it would never be too old to give out."""
    return reply.result is not None and reply.result.timings.finished.timestamp() > now + AHEAD
