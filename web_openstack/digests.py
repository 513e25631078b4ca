"""What each unanswered image's bytes are, by this door's own count: a worker's word on that is checked against it."""

import threading
from collections import OrderedDict

MOST = 50_000
"""Images; the oldest is forgotten first, and its answer then not kept for the same picture."""


class Digests:
    """Written by request threads, emptied by the reply thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._lock = most, threading.Lock()
        self._held: OrderedDict[tuple[str, str], str] = OrderedDict()

    def note(self, job: str, tenant: str, digest: str) -> None:
        """``digest``: SHA-256 in hex of the image that this job is about."""
        with self._lock:
            self._held[job, tenant] = digest
            if len(self._held) > self._most:
                self._held.popitem(last=False)

    def take(self, job: str, tenant: str) -> str:
        """Its digest, which is forgotten; empty when it is not known."""
        with self._lock:
            return self._held.pop((job, tenant), "")
