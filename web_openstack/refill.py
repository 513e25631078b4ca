"""Brings the newest answers back from the output bucket after a start, and looks up which model is active."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, takewhile
from operator import gt

from skylens import active, logs
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.clock import Clock
from skylens.errors import MessageError
from skylens.messages import Reply
from skylens.outcomes import LARGEST, read_outcome
from skylens.store import Store
from web_openstack.result_cache import AHEAD, ResultCache, is_of_the_future

log = logs.get(__name__)

FETCHED, ROUND, READERS = 2000, 200, 8
"""Most answers fetched for a tenant, so many in each round of housekeeping, so many at a time."""
STRETCHES = (60.0, 600.0, 3600.0, 86400.0)
"""Seconds back that are listed to find them, one after the other until there are enough."""


@dataclass
class Refill:
    """Called by the housekeeping thread; a round that fails is made up for by the next."""

    cache: ResultCache
    state: Store
    outputs: Store
    tenants: tuple[str, ...]
    clock: Clock
    _missing: Iterator[str] | None = field(default=None, init=False)
    _full: bool = field(default=False, init=False)

    def keep(self) -> None:
        """One round. Raises AWS's errors, and ModelError when what is active cannot be read."""
        self.cache.follow(active.read(self.state)[0])
        if self._full:
            return
        if self._missing is None:
            self._missing = iter([key for tenant in self.tenants for key in self._newest(tenant)])
        some = list(islice(self._missing, ROUND))
        if not some:
            self._full = True
            log.info("cache.filled", answers=len(self.cache))
            return
        with ThreadPoolExecutor(READERS) as readers:
            for reply in readers.map(self._fetch, some):
                if reply is not None and not is_of_the_future(reply, self.clock.now()):
                    self.cache.add(reply)

    def _newest(self, tenant: str) -> deque[str]:
        """Keys of a tenant's newest outcomes, in order: ids are time-ordered, and so is a bucket's listing."""
        found: deque[str] = deque(maxlen=FETCHED)
        now = self.clock.now()
        end = before(tenant, now + AHEAD)
        for back in STRETCHES:
            start = before(tenant, now - back)
            listed = self.outputs.keys(f"{tenant}/", start)
            older = deque(takewhile(partial(gt, end), listed), FETCHED - len(found))
            found.extendleft(reversed(older))
            end = start
            if len(found) == FETCHED:
                break
        return found

    def _fetch(self, key: str) -> Reply | None:
        """An outcome; None when it is gone or cannot be read, which is for whoever asks for it to say."""
        try:
            held = self.outputs.get(key, LARGEST)
            return read_outcome(key, held) if held else None
        except (MessageError, *AWS_ERRORS) as error:
            log.warning("cache.not_filled", key=key, trouble=explain(error))
            return None


def before(folder: str, moment: float) -> str:
    """A key before those of all UUIDs made from then on: a UUIDv7 begins with its milliseconds (RFC 9562, 5.7)."""
    stamp = f"{max(0, int(moment * 1000)):012x}"
    return f"{folder}/{stamp[:8]}-{stamp[8:]}"
