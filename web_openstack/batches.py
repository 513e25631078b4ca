"""Batches: many images in one request, one job each, progress for all of them."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from skylens.aws_errors import AWS_ERRORS
from skylens.errors import BadRequestError, ExpiredError, SkylensError, TooLargeError, UnavailableError, UnknownJobError
from skylens.messages import Failure, Reply, Struct, decode, encode
from skylens.store import Store
from web_openstack.jobs import Jobs, check_id, made_at, unavailable
from web_openstack.uploads import File, Refused, clean_name

READERS = 8
"""Answers of one batch fetched at once."""


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of a batch: a job, or why it was refused."""

    name: str
    id: str = ""
    refused: Failure | None = None


class Batch(Struct, frozen=True, kw_only=True):
    id: str
    items: tuple[Item, ...]


class Progress(Struct, frozen=True, kw_only=True):
    """Counts of a batch, and each job's state and answer so far."""

    id: str
    total: int
    done: int
    failed: int
    working: int
    jobs: tuple[dict[str, object], ...]


@dataclass(frozen=True)
class Order:
    """Whose batch it is and what is asked of each image. ``charge``: counts one image against the tenant's limit.

    ``batch``: its id; empty for a new one; ``turn``: as of ``Jobs.submit``.
    """

    tenant: str
    top: int
    trace: str
    charge: Callable[[], None]
    batch: str = ""
    turn: str = ""


@dataclass(frozen=True)
class Batches:
    """Makes batches and follows them. The record in the state bucket is written before the client gets its 202.

    What goes wrong after a batch's first job is the refusal of that one file: the jobs before it are on their way, and
    a client that was refused as a whole would send them all again.
    """

    store: Store
    jobs: Jobs
    most: int
    """Most files in one batch."""

    def of_parts(self, parts: Iterable[File | Refused], order: Order) -> Batch:
        """One job per good file, a refusal per bad one. Raises what went wrong before the first job."""
        items: list[Item] = []
        try:
            for part in parts:
                if isinstance(part, Refused):
                    items.append(Item(name=part.name, refused=Failure.of(part.error)))
                else:
                    self._add(items, part.image.name, order, partial(self.jobs.submit, part.image))
        except BadRequestError as error:  # the body cannot be read on from here
            self._refuse(items, "", error)
        return self._keep(items, order)

    def of_keys(self, keys: list[str], order: Order) -> Batch:
        """One job per object of the input bucket; each key must lie under the tenant's own prefix."""
        if len(keys) > self.most:
            raise TooLargeError(f"{len(keys)} keys in one batch; at most {self.most}")
        items: list[Item] = []
        for key in keys:
            self._add(items, clean_name(key), order, partial(self.jobs.submit_stored, key))
        return self._keep(items, order)

    def _add(self, items: list[Item], name: str, order: Order, submit: Callable[..., str]) -> None:
        """Make one job, or note why there is none."""
        try:
            if len(items) >= self.most:
                raise TooLargeError(f"more than {self.most} files in one batch")
            if any(item.refused and item.refused.code == UnavailableError.code for item in items):
                raise UnavailableError("a file before this one could not be taken in either; send it again later")
            order.charge()
            job = submit(tenant=order.tenant, top=order.top, trace=order.trace, turn=order.turn)
            items.append(Item(name=name, id=job))
        except UnknownJobError as error:
            items.append(Item(name=name, refused=Failure.of(error)))
        except SkylensError as error:
            self._refuse(items, name, error)

    def _refuse(self, items: list[Item], name: str, error: SkylensError) -> None:
        """Refuse this file; the whole batch, as long as it has no job."""
        if not any(item.id for item in items):
            raise error
        items.append(Item(name=name, refused=Failure.of(error)))

    def _keep(self, items: list[Item], order: Order) -> Batch:
        if not items:
            raise BadRequestError("the batch is empty; send at least one file or key")
        batch = Batch(id=order.batch or self.jobs.new_id(), items=tuple(items))
        try:
            self.store.put(f"batches/{order.tenant}/{batch.id}", encode(batch), "application/json")
        except AWS_ERRORS as error:
            raise unavailable(error) from error
        return batch

    def find(self, batch: str, tenant: str) -> Batch:
        """Raises UnknownJobError, ExpiredError, UnavailableError."""
        check_id(batch)
        try:
            held = self.store.get(f"batches/{tenant}/{batch}")
        except AWS_ERRORS as error:
            raise unavailable(error) from error
        if self.jobs.clock.now() - made_at(batch) > self.jobs.retention:
            raise ExpiredError(f"batch {batch} is older than results are kept")
        if held is None:
            raise UnknownJobError(f"no batch {batch} here")
        return decode(Batch, held.data)

    def news(self, batch: Batch, tenant: str, known: dict[str, Reply]) -> list[Reply]:
        """Answers that are there and not yet ``known``; they are added to it. Raises UnavailableError."""
        wanted = {item.id for item in batch.items if item.id} - known.keys()
        if not wanted:
            return []
        with ThreadPoolExecutor(READERS) as readers:
            found = readers.map(lambda job: self.jobs.look(job, tenant), self._answered(wanted, tenant))
            fresh = [reply for reply in found if reply is not None]
        known.update((reply.id, reply) for reply in fresh)
        return fresh

    def _answered(self, wanted: set[str], tenant: str) -> list[str]:
        """Which of the jobs have an answer.

        Ids are time-ordered: a batch's answers lie in one stretch of the bucket's listing, 1,000 to a call.
        """
        prefix, last = f"{tenant}/", f"{tenant}/{max(wanted)}.json"
        try:
            stretch = takewhile(lambda key: key <= last, self.jobs.outputs.keys(prefix, prefix + min(wanted)))
            return [job for key in stretch if (job := key.removeprefix(prefix).removesuffix(".json")) in wanted]
        except AWS_ERRORS as error:
            raise unavailable(error) from error

    def is_finished(self, batch: Batch, tenant: str) -> bool:
        """Whether each of its jobs is answered. Raises UnavailableError."""
        wanted = {item.id for item in batch.items if item.id}
        return not wanted or len(self._answered(wanted, tenant)) == len(wanted)

    def progress(self, batch: Batch, tenant: str) -> Progress:
        known: dict[str, Reply] = {}
        self.news(batch, tenant, known)
        jobs = tuple(line(item, known.get(item.id)) for item in batch.items)
        states = [job["status"] for job in jobs]
        done, failed = states.count("done"), states.count("failed")
        working = len(states) - done - failed
        return Progress(id=batch.id, total=len(jobs), done=done, failed=failed, working=working, jobs=jobs)


def line(item: Item, reply: Reply | None) -> dict[str, object]:
    """One job of a batch as the client sees it."""
    failure = item.refused or (reply.failure if reply else None)
    known: dict[str, object] = {"name": item.name}
    if item.id:
        known["id"] = item.id
    if failure is not None:
        return known | {"status": "failed", "error": {"code": failure.code, "detail": failure.detail}}
    if reply is None:
        return known | {"status": "working"}
    return known | {"status": "done", "result": reply.result}
