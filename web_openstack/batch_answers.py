"""What came of a batch: its jobs' answers, fetched and told some at a time, so that no batch fills the memory."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from typing import TypeVar

from skylens.aws_errors import AWS_ERRORS
from skylens.errors import SkylensError, UnavailableError
from skylens.messages import Reply
from web_openstack.batches import Batch, Item, line
from web_openstack.berths import Berths
from web_openstack.jobs import Jobs, unavailable
from web_openstack.slots import Slots

T = TypeVar("T")
TOGETHER = 8
"""Answers of one batch fetched at once, and told at once."""
FETCHING = 4
"""Batches whose answers are fetched at once, of tenants in turn: half of the threads that call AWS are for others."""
LOOKING = 4
"""Listings made at once, of tenants in turn: a page of one takes 6 ms of CPU, or by boto3 65, in which no other thread
gets on."""
REST, LONGEST_REST = 8, 5.0
"""So many times the CPU that it took a reader rests, for each reader of its tenant, at most so many seconds: all of one
tenant's take an eighth of a core, and as much again in the threads that call AWS."""
READERS = 64
"""Requests for batches answered at once. Each holds its batch's record, and 256 KiB that its client has not read:
the server makes no more before it has."""


class BatchAnswers:
    """Shared by all request threads; it owns none."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs, self._readers = jobs, Slots(READERS)
        self._looking, self._fetching = Berths(LOOKING), Berths(FETCHING)

    @contextmanager
    def reader(self, tenant: str) -> Iterator[None]:
        """Be one of the readers, to whom tenants have a share each. Raises UnavailableError when there are too many."""
        if not self._readers.take(tenant):
            raise UnavailableError("too many ask for batches at once", retry_after=2, reason="overload")
        try:
            yield
        finally:
            self._readers.give_back(tenant)

    def answered(self, wanted: Collection[str], tenant: str) -> list[str]:
        """Which of the jobs have an answer. Raises UnavailableError.

        Ids are time-ordered: a batch's answers lie in one stretch of the bucket's listing, 1,000 to a call.
        """
        if not wanted:
            return []
        prefix, last = f"{tenant}/", f"{tenant}/{max(wanted)}.json"
        try:
            with self._resting(tenant), self._looking.hold(tenant):
                stretch = takewhile(lambda key: key <= last, self._jobs.outputs.keys(prefix, prefix + min(wanted)))
                return [job for key in stretch if (job := key.removeprefix(prefix).removesuffix(".json")) in wanted]
        except AWS_ERRORS as error:
            raise unavailable(error) from error

    def replies(self, jobs: Sequence[str], tenant: str) -> list[Reply]:
        """Their answers, of ``TOGETHER`` jobs at most; what cannot be had now is left out, for it is there later."""
        found: list[Reply] = []
        if not jobs:
            return found
        with self._resting(tenant), self._fetching.hold(tenant):
            for look in [self._jobs.begin_look(job, tenant) for job in jobs]:
                with suppress(SkylensError):  # it is in the log
                    reply = look()
                    if reply is not None:
                        found.append(reply)
        return found

    @contextmanager
    def _resting(self, tenant: str) -> Iterator[None]:
        """Work, and rest thereafter: whoever asks without end leaves the processor to others."""
        began = time.thread_time()
        try:
            yield
        finally:
            taken = time.thread_time() - began
            self._jobs.clock.sleep(min(REST * taken * self._readers.own(tenant), LONGEST_REST))

    def told(self, batch: Batch, tenant: str) -> Iterator[list[tuple[Item, Reply | None]]]:
        """Its items in order, some at a time, each with its answer. The listing is made at once.

        Raises UnavailableError.
        """
        answered = set(self.answered({item.id for item in batch.items if item.id}, tenant))
        return self._told(batch, tenant, answered)

    def _told(self, batch: Batch, tenant: str, answered: set[str]) -> Iterator[list[tuple[Item, Reply | None]]]:
        for some in chunks(batch.items):
            replies = self.replies([item.id for item in some if item.id in answered], tenant)
            known = {reply.id: reply for reply in replies}
            yield [(item, known.get(item.id)) for item in some]

    def states(self, batch: Batch, tenant: str) -> Counter[str] | None:
        """How many of its items are ``done`` and ``failed``; None while some are neither. Raises UnavailableError."""
        wanted = {item.id for item in batch.items if item.id}
        if len(self.answered(wanted, tenant)) < len(wanted):
            return None
        found = Counter(str(line(*one)["status"]) for some in self._told(batch, tenant, wanted) for one in some)
        return None if found["working"] else found


def chunks(some: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at a time as are fetched at once."""
    return (some[at : at + TOGETHER] for at in range(0, len(some), TOGETHER))
