"""Answers that came to this process and may not be stored: on the fast path a worker may die between the two."""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile

from skylens import logs
from skylens.clock import Clock
from skylens.messages import Reply
from skylens.outcomes import outcome_key
from skylens.store import Store

log = logs.get(__name__)

GRACE = 5.0
"""Seconds after an answer in which its worker will have stored it, if it lives."""
PAGE = 1000
"""Keys in one answer of S3 to a listing."""
MOST, BYTES = 20_000, 64 * 1024**2
"""Answers that are kept, and bytes of them."""
SLICE, LONGEST = 1000, 2.0
"""Answers that are looked at together, and seconds of one look, after which other chores have their turn."""


@dataclass
class Unstored:
    """Sees that what this process told a client is what the output bucket says, before a dead letter says otherwise.

    Written by the reply threads, emptied by housekeeping. Bounded; the oldest answer goes first. If the process dies,
    the request is queued still, and another worker answers it (docs/decisions/0014-fast-path.md).
    """

    outputs: Store
    clock: Clock
    most: int = MOST
    most_bytes: int = BYTES
    _told: OrderedDict[str, tuple[float, bytes]] = field(default_factory=OrderedDict)
    """By the outcome's key, when it came (ticks) and its message as it was: a newer worker's may say more."""
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self._told)

    def add(self, reply: Reply, body: bytes) -> None:
        """Keep a worker's answer until it is seen to be stored. What the door answers by itself is stored before."""
        if not reply.worker:
            return
        with self._lock:
            key = outcome_key(reply.id, reply.tenant)
            if key not in self._told:
                self._told[key] = self.clock.ticks(), body
                self._bytes += len(body)
            while len(self._told) > self.most or self._bytes > self.most_bytes:
                self._bytes -= len(self._told.popitem(last=False)[1][1])

    def look(self) -> None:
        """Store the answers whose workers did not. Raises AWS's errors; what is left is for the next time."""
        until = self.clock.ticks() + LONGEST
        while (due := self._due()) and self.clock.ticks() < until:
            self._compare(due)

    def _due(self) -> deque[str]:
        with self._lock:
            until = self.clock.ticks() - GRACE
            return deque(sorted(islice(takewhile(lambda key: self._told[key][0] <= until, self._told), SLICE)))

    def _compare(self, due: deque[str]) -> None:
        """With what is stored. Ids are time-ordered, as a bucket's listing is: one page speaks for up to a thousand."""
        while due:
            stored, last = self._page(due[0])
            while due and due[0] <= last:
                key = due.popleft()
                if key in stored:
                    self._forget(key)
                else:
                    self.store(key)

    def _page(self, first: str) -> tuple[set[str], str]:
        """The tenant's stored outcomes from ``first`` on, and the last key that these speak for."""
        folder = first.partition("/")[0] + "/"
        found: Iterator[str] = self.outputs.keys(folder, first.removesuffix(".json"))
        keys = list(islice(found, PAGE))
        return set(keys), keys[-1] if len(keys) == PAGE else f"{folder}~"

    def store(self, key: str) -> None:
        """Store the answer of this key, if it is kept here, unless something is stored already: that counts."""
        with self._lock:
            kept = self._told.get(key)
        if kept is None:
            return
        if self.outputs.put_if(key, kept[1], "application/json", etag=None):
            log.warning("outcome.made_good", key=key)
        self._forget(key)

    def _forget(self, key: str) -> None:
        with self._lock:
            if kept := self._told.pop(key, None):
                self._bytes -= len(kept[1])
