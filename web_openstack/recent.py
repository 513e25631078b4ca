"""The last answers that came to this web process: who asks for one of them costs no call to S3."""

import threading
from collections import OrderedDict

from skylens.messages import Reply
from web_openstack.deleted import Deleted

MOST = 2048


class Recent:
    """Bounded; the oldest answer goes first. Written by the reply thread, read by request threads.

    An answer may come before the request that caused it waits for it, and, on the fast path, before it is stored.
    """

    def __init__(self, deleted: Deleted, most: int = MOST) -> None:
        """``deleted``: whose answers are not kept; a job goes in there before it is dropped here."""
        self._deleted, self._most, self._lock = deleted, most, threading.Lock()
        self._replies: OrderedDict[tuple[str, str], Reply] = OrderedDict()

    def add(self, reply: Reply) -> None:
        """Keep the first answer to a job."""
        with self._lock:
            if (reply.id, reply.tenant) in self._deleted:
                return
            self._replies.setdefault((reply.id, reply.tenant), reply)
            while len(self._replies) > self._most:
                self._replies.popitem(last=False)

    def drop(self, job: str, tenant: str) -> None:
        with self._lock:
            self._replies.pop((job, tenant), None)

    def get(self, job: str, tenant: str) -> Reply | None:
        """The answer to a job of that tenant."""
        with self._lock:
            return self._replies.get((job, tenant))
