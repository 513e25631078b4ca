"""What the acting autoscaler does to the fleet: launch, call off, drain, end; each only while the lease is sure."""

from typing import NamedTuple

from autoscaler.fleets import Fleet, NoCapacityError
from autoscaler.lease import Lease
from autoscaler.metrics import Metrics
from autoscaler.observation import Observation
from autoscaler.roster import Roster
from autoscaler.trouble import Troubles
from autoscaler.victims import choose
from skylens import logs
from skylens.clock import Clock


class Tools(NamedTuple):
    """What an ``Actor`` acts with. ``lease``: None for a dry run, in which it is never sure and so never acts."""

    fleet: Fleet
    roster: Roster
    lease: Lease | None
    metrics: Metrics
    troubles: Troubles


class Actor:
    """Used by the loop's thread.

    What needs the lease is done only while that outlasts the longest call: a launch ends before a standby takes over.
    """

    def __init__(self, tools: Tools, clock: Clock) -> None:
        self._fleet, self._roster, self._lease, self._metrics, self._troubles = tools
        self._clock = clock
        self._log = logs.get("autoscaler")

    def settle(self) -> bool:
        """Learn what came of a launch whose answer was lost; False while that is unknown."""
        if not self._sure():
            return False
        with self._troubles.aws("launch"):
            at = self._clock.now()
            self._note_launched(self._fleet.settle(), at)
            return True
        return False

    def resize(self, desired: int, seen: Observation) -> None:
        """Launch what lacks, or give up what is too many: first what has not come yet, then the cheapest to lose."""
        change = desired - seen.active
        if change > 0:
            self._launch(change)
        elif change < 0:
            self._drain(choose(seen.workers, -change - self._call_off(-change)))

    def tend(self, seen: Observation) -> None:
        """Let the fleet do what it does each tick."""
        if self._sure():
            with self._troubles.aws("fleet"):
                self._fleet.tend(seen)

    def keep_resident(self, seen: Observation) -> None:
        """Make the oldest working instance the resident one, unless one is."""
        staying = [
            worker for worker in seen.workers if worker.instance and worker.state not in {"draining", "stopping"}
        ]
        if staying and not any(worker.resident for worker in staying) and self._sure():
            with self._troubles.aws("resident"):
                oldest = max(staying, key=lambda worker: worker.age).instance
                self._fleet.settle_in(oldest)
                self._log.info("fleet.resident", instance=oldest)

    def give_up(self, boot_timeout: float, hearing: float) -> None:
        """End instances that never got ready in time, or whose worker is lost."""
        for why, ids in self._roster.overdue(boot_timeout, hearing)._asdict().items():
            for one in ids:
                if self._sure():
                    self._terminate(one, why)

    def _sure(self) -> bool:
        """The lease is ours for longer than a call takes; renewed for that, but not taken: others may have acted."""
        lease = self._lease
        if lease is None:
            return False
        with self._troubles.aws("lease"):
            lease.refresh(self._roster.launches())
        return lease.outlasts_call

    def _launch(self, count: int) -> None:
        at = self._clock.now()
        try:
            with self._troubles.aws("launch"):
                self._note_launched(self._fleet.launch(count, self._sure), at)
            self._troubles.say("capacity", "")
        except NoCapacityError as error:
            self._troubles.say("capacity", "none", str(error))

    def _note_launched(self, ids: list[str], at: float) -> None:
        """Count them from now on, and tell a successor at once."""
        if not ids:
            return
        self._roster.launched(dict.fromkeys(ids, at))
        self._metrics.launches.inc(len(ids))
        if self._lease is not None:
            with self._troubles.aws("lease"):
                self._lease.renew(self._roster.launches())

    def _call_off(self, count: int) -> int:
        if self._sure():
            with self._troubles.aws("call off"):
                return self._fleet.call_off(count)
        return 0

    def _drain(self, ids: list[str]) -> None:
        if ids and self._sure():
            with self._troubles.aws("drain"):
                self._fleet.drain(ids)
                self._roster.drained(ids)
                self._metrics.drains.inc(len(ids))
                self._log.info("fleet.drained", instances=ids)

    def _terminate(self, one: str, why: str) -> None:
        """Each by itself: one that may not be terminated must not keep the others."""
        with self._troubles.aws(f"terminate {one}"):
            self._fleet.terminate(one)
            self._roster.ended(one)
            self._metrics.terminations.labels(why=why).inc()
            self._log.warning(f"instance.{why}", instance=one)
