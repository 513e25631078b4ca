"""The loop: observe, decide, clamp, act, report; once a tick, never two at once."""

import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

from autoscaler.actor import Actor, Tools
from autoscaler.fleets import Fleet
from autoscaler.lease import Lease
from autoscaler.limits import Calm, Limits, ceiling, clamp, closed
from autoscaler.listener import Listener
from autoscaler.memory import Memory
from autoscaler.metrics import STATES, Metrics
from autoscaler.nodes import Nodes
from autoscaler.observation import ABLE, INSTANCES, Decision, Observation
from autoscaler.policies import Policy
from autoscaler.roster import Roster
from autoscaler.signals import Signals
from autoscaler.trouble import Troubles
from skylens import logs
from skylens.clock import Clock
from skylens.messages import LARGEST_COUNT, FleetReport
from skylens.settings import ScalerSettings

SAY_EVERY = 30.0
"""Longest time in seconds without a line of the decision log."""
LONGEST_REST = 10.0
"""Longest time in seconds between two turns, however distant the next tick is: a watchdog hears of each turn."""


class Watcher(Protocol):
    """Told of every tick, whether it acted or not."""

    def saw(self, seen: Observation, wanted: Decision, allowed: Decision) -> None: ...


class Parts(NamedTuple):
    """All that the loop works with. ``lease``: None for a dry run, which may run beside the acting autoscaler."""

    signals: Signals
    policy: Policy
    fleet: Fleet
    roster: Roster
    listener: Listener
    lease: Lease | None
    memory: Memory
    nodes: Nodes
    metrics: Metrics
    troubles: Troubles
    watchers: tuple[Watcher, ...] = ()


class Loop:
    """Runs in the process's main thread and leaves the fleet as it is when it stops, or dies.

    Dying between a launch and its note in the lease is the worst moment: the successor then relies on EC2 showing the
    new instances within the time that the lease takes to run out.
    """

    def __init__(self, parts: Parts, settings: ScalerSettings, clock: Clock) -> None:
        self._parts, self._settings, self._clock = parts, settings, clock
        self._limits = Limits(
            step=settings.step,
            scale_in_seconds=settings.scale_in_seconds,
            budget_per_hour=settings.budget_per_hour,
            budget_per_day=settings.budget_per_day,
            minimum_bill=settings.minimum_bill_seconds,
        )
        self._actor = Actor(Tools(parts.fleet, parts.roster, parts.lease, parts.metrics, parts.troubles), clock)
        self._log = logs.get("autoscaler")
        self._calm: Calm | None = None
        self._term: int | None = None
        self._said: tuple[object, ...] = ()
        self._said_at = float("-inf")

    def run(self, stop: threading.Event, turned: Callable[[], None] = lambda: None) -> None:
        """Tick until ``stop`` is set, then release the lease. A tick that overruns delays the next; none is made up.

        ``turned`` is called after each tick and each part of the wait for the next one.
        """
        while not stop.is_set() and self._parts.listener.alive:
            began = self._clock.ticks()
            self._tick_or_say()
            took = self._clock.ticks() - began
            self._parts.metrics.tick_seconds.observe(took)
            self._note_overrun(took)
            turned()
            self._rest(began + self._settings.tick_seconds, stop, turned)
        self.leave()

    def _tick_or_say(self) -> None:
        """A fault of ours, or an answer that botocore cannot parse, must not leave the fleet without its autoscaler."""
        try:
            self.tick()
        except Exception:  # noqa: BLE001 - the next tick looks anew at everything
            self._parts.metrics.broken.inc()
            self._log.exception("scaler.tick_broke")

    def _note_overrun(self, took: float) -> None:
        late = took > self._settings.tick_seconds
        self._parts.metrics.overruns.inc(late)
        self._parts.troubles.say("tick", "overrun" if late else "", f"took {took:.1f} s")

    def _rest(self, until: float, stop: threading.Event, turned: Callable[[], None]) -> None:
        """Wait for the next tick; the lease is kept meanwhile, however distant that is."""
        while not stop.is_set() and (left := until - self._clock.ticks()) > 0:
            pause = min(left, self._settings.lease_seconds / 3, LONGEST_REST)
            stop.wait(pause)
            if pause < left:
                self._lead()
                turned()

    def leave(self) -> None:
        """Let another autoscaler take over at once, unless it could not know of a launch whose answer was lost."""
        lease, fleet = self._parts.lease, self._parts.fleet
        if lease is not None and lease.held and self._actor.settle() and not fleet.unsure():
            self._parts.listener.listen(on=False)
            self._parts.memory.save()
            with self._parts.troubles.aws("lease"):
                lease.release(self._parts.roster.launches())

    def tick(self) -> None:
        if not self._lead():
            return
        settled = self._actor.settle()
        seen = self._parts.signals.observe()
        wanted = self._parts.policy.decide(seen)
        allowed, self._calm = clamp(wanted, seen, self._limits, self._calm)
        if self._may_act(seen):  # while it is not known what came of a launch, nothing more is launched
            self._act(allowed.desired if settled else min(allowed.desired, seen.active), seen)
        self._report(seen, wanted, allowed)
        for watcher in self._parts.watchers:
            watcher.saw(seen, wanted, allowed)
        self._parts.memory.tick()

    def _act(self, desired: int, seen: Observation) -> None:
        self._actor.give_up(self._settings.boot_timeout, self._parts.listener.hearing)
        if self._settings.fleet != "alarms":
            self._actor.resize(desired, seen)
        if self._settings.policy == "resident":
            self._actor.keep_resident(seen)
        self._actor.tend(seen)

    def _lead(self) -> bool:
        """Keep, take or lose the lease; whether to go on. A dry run always does, and takes no events."""
        lease = self._parts.lease
        if lease is None:
            return True
        with self._parts.troubles.aws("lease"):
            lease.keep(self._parts.roster.launches())
        term = lease.term if lease.held else 0
        if term != self._term:
            self._term = term
            self._turn(lease, leading=term > 0)
        return term > 0

    def _turn(self, lease: Lease, *, leading: bool) -> None:
        """A term of the lease begins, or ended."""
        self._log.info("scaler.leading" if leading else "scaler.standby")
        self._parts.metrics.leading.set(leading)
        self._parts.listener.listen(on=leading)
        self._parts.fleet.forget()
        self._calm = None
        if leading:
            self._parts.roster.launched(lease.inherited)
            self._parts.memory.load()

    def _may_act(self, seen: Observation) -> bool:
        """The lease is ours, and EC2 was looked at since it is: what the one before launched is counted."""
        lease = self._parts.lease
        return (
            lease is not None and lease.held and INSTANCES not in seen.stale and seen.ages[INSTANCES] <= lease.held_for
        )

    def _report(self, seen: Observation, wanted: Decision, allowed: Decision) -> None:
        self._measure(seen, allowed)
        self._say(seen, wanted, allowed)
        if self._parts.lease is None:
            return
        report = FleetReport(
            at=seen.at,
            policy="alarms" if self._settings.fleet == "alarms" else self._settings.policy,
            desired=allowed.desired,
            minimum=seen.minimum,
            maximum=seen.maximum,
            reason=allowed.reason,
            workers=seen.workers,
            boot_seconds=seen.boot_seconds,
            slots=seen.slots,
            ceiling=ceiling(seen, self._limits),
            closed=closed(seen, self._limits),
            outstanding=min(LARGEST_COUNT, seen.outstanding),
            nodes=seen.nodes,
        )
        for node, told in self._parts.nodes.tell(report).items():
            self._parts.troubles.say(f"report to {node}", "" if told else "not taken")

    def _measure(self, seen: Observation, allowed: Decision) -> None:
        metrics, change = self._parts.metrics, allowed.desired - seen.active
        metrics.desired.set(allowed.desired)
        metrics.boot_seconds.set(seen.boot_seconds)
        metrics.decisions.labels(direction="out" if change > 0 else "in" if change < 0 else "hold").inc()
        for state in STATES:
            metrics.instances.labels(state=state).set(seen.count(state))

    def _say(self, seen: Observation, wanted: Decision, allowed: Decision) -> None:
        """The decision log: a line when it changed, and now and then."""
        numbers = {"old": seen.active, "desired": wanted.desired, "new": allowed.desired, "stale": sorted(seen.stale)}
        key, now = tuple(map(str, numbers.values())), self._clock.ticks()
        if key == self._said and now - self._said_at < SAY_EVERY:
            return
        self._said, self._said_at = key, now
        self._log.info(
            "scaler.decision",
            **numbers,
            reason=allowed.reason,
            outstanding=seen.outstanding,
            oldest=round(seen.oldest, 1),
            ready=seen.count(*ABLE),
            busy=seen.count("busy"),
            idle=seen.count("idle"),
            pending=seen.count("pending", "booting"),
            draining=seen.leaving,
            max=seen.maximum,
            boot_seconds=round(seen.boot_seconds, 1),
        )
