"""Batches: many images in one request, one job each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from skylens.aws_errors import AWS_ERRORS
from skylens.errors import BadRequestError, ExpiredError, SkylensError, TooLargeError, UnavailableError, UnknownJobError
from skylens.messages import Failure, Reply, Struct, decode, encode
from skylens.store import Store
from web_openstack.jobs import Jobs, check_id, made_at, unavailable
from web_openstack.uploads import File, Refused, clean_name

LARGEST = 64 * 1024**2
"""Most bytes of a batch's record: one of 10,000 files, the most that can be allowed, has 26 MiB at most."""


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of a batch: a job, or why it was refused."""

    name: str
    id: str = ""
    refused: Failure | None = None


class _Items(list[Item]):
    """What became of a batch's files so far. ``is_away``: AWS failed one of them."""

    has_job = is_away = False


class Batch(Struct, frozen=True, kw_only=True):
    id: str
    items: tuple[Item, ...]


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
    """Makes batches and finds them. The record in the state bucket is written before the client gets its 202.

    What goes wrong after a batch's first job is the refusal of that one file: the jobs before it are on their way, and
    a client that was refused as a whole would send them all again.
    """

    store: Store
    jobs: Jobs
    most: int
    """Most files in one batch."""

    def of_parts(self, parts: Iterable[File | Refused], order: Order) -> Batch:
        """One job per good file, a refusal per bad one. Raises what went wrong before the first job.

        Bad files count and are charged as good ones. Nothing is read beyond the most that a batch may have: its last
        refusal stands for all the others.
        """
        items = _Items()
        try:
            for part in parts:
                name = part.name if isinstance(part, Refused) else part.image.name
                if len(items) >= self.most:
                    detail = f"more than {self.most} files in one batch; this one and all behind it are left out"
                    self._refuse(items, name, TooLargeError(detail))
                    break
                if isinstance(part, Refused):
                    self._note(items, part, order)
                else:
                    self._add(items, name, order, partial(self.jobs.submit, part.image))
                del part  # before the next one is read
        except BadRequestError as error:  # the body cannot be read on from here
            self._refuse(items, "", error)
        return self._keep(items, order)

    def _note(self, items: _Items, part: Refused, order: Order) -> None:
        """A file that is no image to take."""
        try:
            order.charge()
        except SkylensError as error:
            self._refuse(items, part.name, error)
        else:
            items.append(Item(name=part.name, refused=Failure.of(part.error)))

    def of_keys(self, keys: list[str], order: Order, gone: Callable[[], bool] = lambda: False) -> Batch:
        """One job per object of the input bucket; each key must lie under the tenant's own prefix.

        For a client that has ``gone`` no more are made than there are.
        """
        if len(keys) > self.most:
            raise TooLargeError(f"{len(keys)} keys in one batch; at most {self.most}")
        items = _Items()
        for key in keys:
            if gone():
                detail = "its client has gone; this one and all behind it are left out"
                self._refuse(items, clean_name(key), UnavailableError(detail))
                break
            self._add(items, clean_name(key), order, partial(self.jobs.submit_stored, key))
        return self._keep(items, order)

    def _add(self, items: _Items, name: str, order: Order, submit: Callable[..., str]) -> None:
        """Make one job, or note why there is none."""
        try:
            if items.is_away:
                raise UnavailableError("a file before this one could not be taken in either; send it again later")
            order.charge()
            job = submit(tenant=order.tenant, top=order.top, trace=order.trace, turn=order.turn)
            items.append(Item(name=name, id=job))
            items.has_job = True
        except UnknownJobError as error:
            items.append(Item(name=name, refused=Failure.of(error)))
        except SkylensError as error:
            items.is_away = items.is_away or isinstance(error, UnavailableError)
            self._refuse(items, name, error)

    def _refuse(self, items: _Items, name: str, error: SkylensError) -> None:
        """Refuse this file; the whole batch, as long as it has no job."""
        if not items.has_job:
            raise error
        items.append(Item(name=name, refused=Failure.of(error)))

    def _keep(self, items: _Items, order: Order) -> Batch:
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
            held = self.store.get(f"batches/{tenant}/{batch}", LARGEST)
        except AWS_ERRORS as error:
            raise unavailable(error) from error
        if self.jobs.clock.now() - made_at(batch) > self.jobs.retention:
            raise ExpiredError(f"batch {batch} is older than results are kept")
        if held is None:
            raise UnknownJobError(f"no batch {batch} here")
        return decode(Batch, held.data)


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
