"""The last answers that came to this web process: who asks for one of them costs no call to S3."""

import threading
from collections import OrderedDict

from skylens.errors import PoisonImageError
from skylens.messages import Reply, encode
from web_openstack.deleted import Deleted

MOST, BYTES = 2048, 32 * 1024**2
"""Answers that are kept, and bytes of them as JSON."""


class Recent:
    """Bounded; the oldest answer goes first. Written by the reply thread, read by request threads.

    An answer may come before the request that caused it waits for it, and, on the fast path, before it is stored.
    """

    def __init__(self, deleted: Deleted, most: int = MOST, most_bytes: int = BYTES) -> None:
        """``deleted``: whose answers are not kept; a job goes in there before it is dropped here."""
        self._deleted, self._most, self._most_bytes, self._lock = deleted, most, most_bytes, threading.Lock()
        self._replies: OrderedDict[tuple[str, str], tuple[Reply, int]] = OrderedDict()
        self._bytes = 0

    def add(self, reply: Reply) -> None:
        """Keep the first answer to a job; not a dead letter's, for ``skylens dead retry`` brings another one."""
        if reply.failure is not None and reply.failure.code == PoisonImageError.code:
            return
        place, size = (reply.id, reply.tenant), len(encode(reply))
        with self._lock:
            if place in self._deleted or place in self._replies:
                return
            self._replies[place] = reply, size
            self._bytes += size
            while len(self._replies) > self._most or self._bytes > self._most_bytes:
                self._bytes -= self._replies.popitem(last=False)[1][1]

    def drop(self, job: str, tenant: str) -> None:
        with self._lock:
            if held := self._replies.pop((job, tenant), None):
                self._bytes -= held[1]

    def get(self, job: str, tenant: str) -> Reply | None:
        """The answer to a job of that tenant."""
        with self._lock:
            held = self._replies.get((job, tenant))
        return held[0] if held else None
