"""What the autoscaler learned, kept in the state bucket across restarts and handed on with the lease."""

from typing import NamedTuple, Protocol, runtime_checkable

from autoscaler.experience import Lessons
from autoscaler.lease import Lease
from autoscaler.ledger import Accounts, Ledger
from autoscaler.roster import Roster
from autoscaler.trouble import Troubles
from skylens import logs
from skylens.clock import Clock
from skylens.errors import MessageError
from skylens.messages import Struct, decode, encode
from skylens.store import Object, Store

KEY = "learned/autoscaler"
VERSION = 1
SAVE_EVERY = 60.0
HURRY = 5.0
"""Seconds between two tries to load while S3 does not answer, and to save what the fleet costs now if that changed."""


@runtime_checkable
class Learner(Protocol):
    """A policy that learns. What it learned is its own affair, bytes to everybody else."""

    def learned(self) -> bytes: ...

    def learn(self, data: bytes) -> None:
        """Take up what ``learned`` gave an earlier process, perhaps of another release.

        Whatever it raises means that the data cannot be read; then nothing may have been taken up.
        """
        ...


class _Version(Struct, frozen=True, kw_only=True):
    v: int


class _Books(Struct, frozen=True, kw_only=True):
    v: int
    ledger: Ledger


class Learned(Struct, frozen=True, kw_only=True):
    """What the object holds. ``at``: Unix seconds; ``policy_memory``: what ``policy`` learned, empty if nothing."""

    v: int = VERSION
    at: float
    lessons: Lessons
    ledger: Ledger
    policy: str = ""
    policy_memory: bytes = b""


class Minds(NamedTuple):
    """Whatever learns. ``name``: the policy's."""

    roster: Roster
    accounts: Accounts
    policy: object
    name: str


class Memory:
    """Owned by the loop's thread: ``load`` when a term of the lease begins, then ``tick``, and ``save`` at its end.

    Only the lease's holder writes, and only over what it has read: a write that was under way when the lease was lost
    is refused by S3 once the successor has written. Nothing here raises what boto3 raises.
    """

    def __init__(self, store: Store, lease: Lease | None, minds: Minds, troubles: Troubles, clock: Clock) -> None:
        """``lease``: None for a dry run, which reads what there is and never writes."""
        self._store, self._lease, self._minds, self._troubles, self._clock = store, lease, minds, troubles, clock
        self._log = logs.get("autoscaler")
        self._etag: str | None = None
        self._loaded = False
        self._tried = float("-inf")
        self._mine = minds.accounts.ledger
        """The ledger when this process last knew all that was spent."""
        self._rate = 0.0
        """What the fleet costs by the ledger that is kept."""

    def load(self) -> None:
        """Take up what is kept there. If S3 does not answer, ``tick`` tries again before it saves anything.

        Of the ledgers, the later is the better one: a process that led before may know more than it could save.
        """
        if self._minds.accounts.complete:
            self._mine = self._minds.accounts.ledger
        self._tried, self._loaded, self._minds.accounts.complete = self._clock.ticks(), False, False
        with self._troubles.aws("memory"):
            found = self._store.get(KEY)
            self._etag, self._loaded = (found.etag if found else None), True
            if found:
                self._take_up(found)
            self._minds.accounts.complete = True

    def tick(self) -> None:
        """Save now and then, and soon when the fleet costs more or less: a successor goes on at the rate kept last."""
        steady = self._loaded and self._minds.accounts.ledger.hourly == self._rate
        if self._clock.ticks() - self._tried >= (SAVE_EVERY if steady else HURRY):
            (self.save if self._loaded else self.load)()

    def save(self) -> None:
        """Save at once, if the lease is held and what was there before is known."""
        if not self._loaded or self._lease is None or not self._lease.held:
            return
        self._tried = self._clock.ticks()
        with self._troubles.aws("memory"):
            written = self._store.put_if(KEY, encode(self._gather()), "application/json", etag=self._etag)
            self._etag = written or self._current()
            self._rate = self._minds.accounts.ledger.hourly if written else self._rate

    def _current(self) -> str | None:
        """Of what somebody else wrote, or we did and the answer was lost: the next save is over it, if still ours."""
        found = self._store.get(KEY)
        return found.etag if found else None

    def _gather(self) -> Learned:
        roster, accounts, policy, name = self._minds
        return Learned(
            at=self._clock.now(),
            lessons=roster.learned(),
            ledger=accounts.ledger,
            policy=name,
            policy_memory=policy.learned() if isinstance(policy, Learner) else b"",
        )

    def _take_up(self, found: Object) -> None:
        try:
            learned = _read(found.data)
        except MessageError as error:
            self._log.warning("memory.ignored", key=KEY, detail=error.detail)
            self._keep_accounts(_ledger(found.data))
            return
        self._minds.roster.learn(learned.lessons)
        self._keep_accounts(learned.ledger)
        self._teach(learned)
        self._log.info("memory.loaded", age=round(self._clock.now() - learned.at, 1), policy=learned.policy)

    def _keep_accounts(self, kept: Ledger | None) -> None:
        if kept is not None:
            self._rate = kept.hourly
            self._minds.accounts.ledger = max(kept, self._mine, key=lambda ledger: ledger.at)

    def _teach(self, learned: Learned) -> None:
        policy = self._minds.policy
        if not isinstance(policy, Learner) or learned.policy != self._minds.name:
            return
        try:
            policy.learn(learned.policy_memory)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the policy can start afresh
            self._log.warning("memory.ignored", key=KEY, policy=learned.policy, detail=str(error))


def _read(data: bytes) -> Learned:
    """Raises MessageError when it is damaged or newer than this release."""
    written = decode(_Version, data).v
    if written != VERSION:
        raise MessageError(f"Learned of version {written}; this release reads {VERSION}")
    return decode(Learned, data)


def _ledger(data: bytes) -> Ledger | None:
    """That of a damaged memory, if nothing is wrong with it: what was learned is soon learned again, money is gone."""
    try:
        books = decode(_Books, data)
    except MessageError:
        return None
    return books.ledger if books.v == VERSION else None
