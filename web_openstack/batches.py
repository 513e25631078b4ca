"""Batches: many images in one request, one job each, progress for all of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skylens.aws_errors import AWS_ERRORS
from skylens.errors import BadRequestError, ExpiredError, SkylensError, TooLargeError, UnknownJobError
from skylens.messages import Failure, Reply, Struct, decode, encode
from skylens.store import Store
from web_openstack.jobs import Jobs, check_id, made_at, unavailable
from web_openstack.uploads import Part


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
class Batches:
    """Makes batches and follows them. The record in the state bucket is written before the client gets its 202."""

    store: Store
    jobs: Jobs
    most: int
    """Most files in one batch."""

    def of_parts(self, parts: Iterable[Part], *, tenant: str, top: int, trace: str) -> Batch:
        """One job per good file, a refusal per bad one. Raises TooLargeError above ``most`` files."""
        items: list[Item] = []
        for part in parts:
            if len(items) >= self.most:
                raise TooLargeError(f"more than {self.most} files in one batch")
            if part.image is None:
                items.append(Item(name=part.name, refused=Failure.of(part.error or SkylensError())))
            else:
                job = self.jobs.submit(part.image, tenant=tenant, top=top, trace=trace)
                items.append(Item(name=part.name, id=job))
        return self._keep(items, tenant)

    def of_keys(self, keys: list[str], *, tenant: str, top: int, trace: str) -> Batch:
        """One job per object of the input bucket; each key must lie under the tenant's own prefix."""
        if len(keys) > self.most:
            raise TooLargeError(f"{len(keys)} keys in one batch; at most {self.most}")
        items = []
        for key in keys:
            name = key.rpartition("/")[2][:255]
            try:
                items.append(Item(name=name, id=self.jobs.submit_stored(key, tenant=tenant, top=top, trace=trace)))
            except UnknownJobError as error:
                items.append(Item(name=name, refused=Failure.of(error)))
        return self._keep(items, tenant)

    def _keep(self, items: list[Item], tenant: str) -> Batch:
        if not items:
            raise BadRequestError("the batch is empty; send at least one file or key")
        batch = Batch(id=self.jobs.new_id(), items=tuple(items))
        try:
            self.store.put(f"batches/{tenant}/{batch.id}", encode(batch), "application/json")
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

    def news(self, batch: Batch, tenant: str, known: dict[str, Reply]) -> Iterator[Reply]:
        """Answers that are there and not yet ``known``; they are added to it.

        Ids are time-ordered: a batch's answers lie in one stretch of the bucket's listing, 1,000 to a call.
        """
        wanted = {item.id for item in batch.items if item.id} - known.keys()
        if not wanted:
            return
        try:
            last = max(wanted)
            for key in self.jobs.outputs.keys(f"{tenant}/", f"{tenant}/{min(wanted)}"):
                job = key.removeprefix(f"{tenant}/").removesuffix(".json")
                if job > last:
                    break
                if job in wanted:
                    reply = self.jobs.outcome(job, tenant)
                    if reply is not None:
                        known[job] = reply
                        yield reply
        except AWS_ERRORS as error:
            raise unavailable(error) from error

    def progress(self, batch: Batch, tenant: str) -> Progress:
        known: dict[str, Reply] = {}
        for _ in self.news(batch, tenant, known):
            pass
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
