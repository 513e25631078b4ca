"""Deleted jobs: what lies in the place of their outcome, and which of them this process knows."""

import threading
from collections import OrderedDict

from skylens.errors import DeletedError
from skylens.messages import Failure, Reply

MOST = 50_000


class Tombstone(Reply, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored and told in place of an outcome. It keeps nothing of the image, not even its file's name."""

    whole: bool = False
    """All that belonged to the job is gone, and the other nodes can see that it was deleted."""


def tombstone(job: str, tenant: str, *, whole: bool = False) -> Tombstone:
    return Tombstone(id=job, tenant=tenant, failure=Failure.of(DeletedError()), whole=whole)


def is_tombstone(reply: Reply) -> bool:
    return reply.failure is not None and reply.failure.code == DeletedError.code


class Deleted:
    """Jobs and tenants whose answers this process takes in no more. Bounded; who was deleted first is forgotten first.

    Forgetting one is harmless once its answer is out of memory: whoever asks finds the tombstone in the bucket.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self._lock = most, threading.Lock()
        self._jobs: OrderedDict[tuple[str, str], None] = OrderedDict()

    def add(self, job: str, tenant: str) -> None:
        with self._lock:
            self._jobs[job, tenant] = None
            while len(self._jobs) > self._most:
                self._jobs.popitem(last=False)

    def __contains__(self, place: tuple[str, str]) -> bool:
        """``place``: job and tenant."""
        with self._lock:
            return place in self._jobs
