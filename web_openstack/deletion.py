"""Deletion: an image, its answer and what is remembered of them, on every web node (docs/decisions/0018-deletion.md).

First a tombstone takes the place of the outcome: from then on no worker, repeat or dead letter brings an answer back.
Last it is written as whole: all was done, and asking again writes nothing. Until then every step is repeated, so a
deletion that broke off anywhere is made whole by asking for it again.
"""

from dataclasses import dataclass, field

from skylens.aws_errors import AWS_ERRORS
from skylens.errors import ExpiredError, MessageError, UnknownJobError
from skylens.messages import encode, read
from skylens.outcomes import LARGEST, outcome_key
from skylens.store import Store
from web_openstack import deadletters
from web_openstack.berths import Berths
from web_openstack.deleted import Tombstone, is_tombstone, tombstone
from web_openstack.direct import uploaded
from web_openstack.jobs import Jobs, check_id, unavailable
from web_openstack.refill import before
from web_openstack.webhooks import hooks
from web_openstack.webhooks.agenda import Place

AT_ONCE = 8
"""Deletions at work at once, of tenants in turn: each is up to nine calls, and others want threads for theirs."""
FOLDER = "deleted"
"""Where in the state bucket the other nodes are told: ``deleted/<UUIDv7 of the deletion>/<tenant>/<job>``."""
NEAR = 60.0
"""Seconds that a look goes back before the last one, for clocks that differ and writes under way."""
FAR, FAR_EVERY = 1860.0, 300.0
"""As far goes a look so often, in seconds: S3 refuses clocks that are off by more than 15 minutes."""


@dataclass(frozen=True)
class Deletion:
    jobs: Jobs
    state: Store
    _berths: Berths = field(default_factory=lambda: Berths(AT_ONCE), init=False)

    def delete(self, job: str, tenant: str) -> None:
        """Delete a job's image and answer, for ever; once more if they were deleted before.

        Raises UnknownJobError when no such job was taken in, ExpiredError when its time is over and nothing is left,
        UnavailableError when AWS fails: then it has to be asked for again.
        """
        check_id(job)
        try:
            with self._berths.hold(tenant):
                self.jobs.calls.submit(self._delete, job, tenant).result()
        except AWS_ERRORS as error:
            raise unavailable(error, "; send the deletion again, for it is not complete") from error

    def _delete(self, job: str, tenant: str) -> None:
        place = f"{tenant}/{job}"
        has_outcome, is_whole = self._found(outcome_key(job, tenant))
        has_image = self.jobs.inputs.size(place) is not None
        if not (has_outcome or has_image):
            if self.jobs.is_expired(job):
                raise ExpiredError(f"job {job} is older than results are kept, and nothing of it is left")
            raise UnknownJobError(f"no job {job} here")
        if has_image or not is_whole:
            self._do_all(job, tenant)
        else:
            self.jobs.settle(tombstone(job, tenant))
            self._clear_uploads(job, tenant)

    def _found(self, key: str) -> tuple[bool, bool]:
        """Whether there is an outcome, and whether it says that the deletion was done to the end.

        One that cannot be read does not.
        """
        try:
            held = self.jobs.outputs.get(key, LARGEST)
            stone = read(Tombstone, held.data) if held else None
        except MessageError:
            return True, False
        return stone is not None, stone is not None and is_tombstone(stone) and stone.whole

    def _do_all(self, job: str, tenant: str) -> None:
        place, outcome = f"{tenant}/{job}", outcome_key(job, tenant)
        self.jobs.outputs.put(outcome, encode(tombstone(job, tenant)), "application/json")
        self.jobs.settle(tombstone(job, tenant))
        self.state.put(f"{FOLDER}/{self.jobs.new_id()}/{place}", b"{}", "application/json")
        self.state.delete(f"{deadletters.PREFIX}{place}")
        self.state.delete(hooks.key(Place(tenant, job)))
        self._clear_uploads(job, tenant)
        self.jobs.inputs.delete(place)
        self.jobs.outputs.put(outcome, encode(tombstone(job, tenant, whole=True)), "application/json")

    def _clear_uploads(self, job: str, tenant: str) -> None:
        """Delete what could not be cleared when the job was taken in, or was stored again."""
        for upload in self.jobs.inputs.keys(uploaded(job, tenant)):
            self.jobs.inputs.delete(upload)


@dataclass
class Deletions:
    """What other web nodes have deleted. Called by the housekeeping thread; a look that fails is made up for."""

    jobs: Jobs
    state: Store
    _due: float = field(default=float("-inf"), init=False)
    """Ticks at which the next far look is due."""

    def __post_init__(self) -> None:
        """Note the start: in Unix seconds, ``_near`` is the last look that succeeded, ``_far`` the last far one."""
        self._near = self._far = self.jobs.clock.now()

    def look(self) -> None:
        """Settle what is new. Raises AWS's errors."""
        clock = self.jobs.clock
        now, is_far = clock.now(), clock.ticks() >= self._due
        start = min(now, self._far) - FAR if is_far else min(now, self._near) - NEAR
        for key in self.state.keys(f"{FOLDER}/", before(FOLDER, start)):
            _, _, place = key.removeprefix(f"{FOLDER}/").partition("/")
            tenant, _, job = place.partition("/")
            if job and (job, tenant) not in self.jobs.deleted:
                self.jobs.settle(tombstone(job, tenant))
        self._near = now
        if is_far:
            self._far, self._due = now, clock.ticks() + FAR_EVERY
