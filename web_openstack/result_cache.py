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

OVERHEAD = 400
"""Bytes that an entry takes beside its answer, as measured."""


class _Key(NamedTuple):
    tenant: str
    digest: str
    model: str


class ResultCache:
    """Bounded by bytes: what was asked for longest ago goes first.

    Written by the reply thread and by housekeeping, read by request threads. It knows nothing until it was told once
    what is active, and rests while a canary is tried, which is to see its share of all images.
    """

    def __init__(self, most: int, kept: float, hit: Callable[[], None] = lambda: None) -> None:
        """``most``: bytes, 0 for none; ``kept``: seconds that an answer counts; ``hit``: called at each one found."""
        self._most, self._kept, self._hit = most, kept, hit
        self._entries: OrderedDict[_Key, bytes] = OrderedDict()
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
        key, data = _Key(reply.tenant, result.digest, model), encode(reply)
        with self._lock:
            self._latest = max(self._latest, (result.timings.finished.timestamp(), model))
            self._drop(key)
            self._entries[key] = data
            self._size += len(data) + OVERHEAD
            while self._size > self._most:
                self._drop(next(iter(self._entries)))

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
        return self._entries.get(key)

    def _drop(self, key: _Key) -> None:
        data = self._entries.pop(key, None)
        if data is not None:
            self._size -= len(data) + OVERHEAD
