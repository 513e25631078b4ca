"""Makes one Observation each tick, from the web nodes, SQS, EC2, the workers' events and CloudWatch."""

from typing import NamedTuple

from autoscaler.cpu import FleetCpu, MeasuredCpu, Metric, Reading, ToldCpu
from autoscaler.demand import Counted, DemandView
from autoscaler.fleets import Fleet
from autoscaler.ledger import Accounts
from autoscaler.listener import Listener
from autoscaler.nodes import Nodes
from autoscaler.observation import (
    ABLE,
    BOOTS,
    CPU,
    DEMAND,
    EVENTS,
    INSTANCES,
    NODES,
    QUEUE,
    SERVICE,
    Observation,
)
from autoscaler.peers import Peers
from autoscaler.roster import Roster
from autoscaler.trouble import Troubles
from skylens.clock import Clock
from skylens.queues import Queue
from skylens.settings import ScalerSettings

LOOK_EVERY = 1.0
COUNT_EVERY = 5.0
OLDEST_LOOK = 60.0
"""Seconds after which what EC2 showed is stale, although the steps of a look go on."""


class Sources(NamedTuple):
    """Where the signals come from.

    ``requests``: the queue whose counts are the cross-check; ``accounts``: None to add up no money; ``metric``: where
    the CPU is measured, None for the workers' own words; ``peers``: who finds the nodes, None when they are given.
    """

    nodes: Nodes
    requests: Queue
    fleet: Fleet
    roster: Roster
    listener: Listener
    accounts: Accounts | None = None
    metric: Metric | None = None
    peers: Peers | None = None


class _Source:
    """When a source is due, and whether it answered. Monotonic seconds."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._asked: float | None = None
        self.answered: float | None = None
        self.stale = True

    def due(self, now: float) -> bool:
        if self._asked is not None and now - self._asked < self._every:
            return False
        self._asked, self.stale = now, True
        return True

    def older_than(self, seconds: float, now: float) -> bool:
        return self.answered is not None and now - self.answered > seconds

    def ok(self, now: float | None) -> None:
        """It answered, and what it said is of ``now``; None for never yet."""
        self.answered, self.stale = now, now is None


class Signals:
    """Owned by the loop's thread. A source that fails leaves its last values and is named stale."""

    def __init__(self, sources: Sources, settings: ScalerSettings, troubles: Troubles, clock: Clock) -> None:
        self._from, self._settings, self._troubles, self._clock = sources, settings, troubles, clock
        self._demand, self._nodes = DemandView(), 0
        self._queue, self._instances = _Source(COUNT_EVERY), _Source(LOOK_EVERY)
        self._look_began: float | None = None
        self._cpu: FleetCpu = ToldCpu(sources.roster, clock)
        if sources.metric:
            self._cpu = MeasuredCpu(sources.metric, troubles, clock)

    def observe(self) -> Observation:
        self._ask_nodes()
        self._count_queue()
        self._look()
        at, roster, settings = self._clock.now(), self._from.roster, self._settings
        counted, workers = self._demand.counted(self._clock.ticks()), roster.workers()
        cpu = self._cpu.read([worker.instance for worker in workers if worker.state in ABLE])
        return Observation(
            at=at,
            outstanding=counted.outstanding,
            oldest=counted.oldest,
            arrivals=counted.arrivals,
            completions=counted.completions,
            queue=self._demand.queue,
            workers=workers,
            minimum=settings.minimum,
            maximum=settings.maximum,
            slots=roster.slots(),
            boot_seconds=roster.boot_seconds(settings.expected_boot_seconds),
            service_seconds=roster.service_seconds() or counted.service_seconds,
            nodes=self._nodes,
            cpu=cpu.percent,
            no_capacity=self._from.fleet.no_capacity(),
            unsure=self._from.fleet.unsure(),
            spending=self._from.accounts.spending(workers, at) if self._from.accounts else None,
            stale=self._stale(counted, cpu),
            ages=self._ages(counted, cpu, at),
        )

    def _ask_nodes(self) -> None:
        answers = self._from.nodes.demands()
        self._nodes = len(answers)
        for node, demand in answers.items():
            self._troubles.say(f"demand of {node}", "" if demand else "no answer")
        self._demand.fold(answers, self._clock.ticks())

    def _count_queue(self) -> None:
        if self._queue.due(self._clock.ticks()):
            with self._troubles.aws("queue counts"):
                self._demand.count(self._from.requests.counts(), self._clock.ticks())
                self._queue.ok(self._clock.ticks())

    def _look(self) -> None:
        """What EC2 shows was true when the look began, at the latest."""
        asked, roster = self._clock.ticks(), self._from.roster
        if not self._instances.due(asked):
            return
        began, self._look_began = self._look_began or asked, None
        with self._troubles.aws("instances"):
            look = self._from.fleet.look(roster.members())
            if look is None:
                self._look_began = began
            else:
                roster.look(look)
            self._instances.ok(self._instances.answered if look is None else began)

    def _stale(self, counted: Counted, cpu: Reading) -> frozenset[str]:
        listener, peers = self._from.listener, self._from.peers
        silent = {
            DEMAND: not counted.trusted,
            QUEUE: self._queue.stale,
            INSTANCES: self._instances.stale or self._instances.older_than(OLDEST_LOOK, self._clock.ticks()),
            EVENTS: listener.listening and listener.deaf,
            CPU: cpu.stale,
            NODES: peers is not None and peers.stale,
        }
        return frozenset(name for name, is_silent in silent.items() if is_silent)

    def _ages(self, counted: Counted, cpu: Reading, at: float) -> dict[str, float]:
        now, (booted, worked) = self._clock.ticks(), self._from.roster.measured_at()
        demand, peers = self._demand.age(now), self._from.peers
        ages = {
            DEMAND: demand,
            QUEUE: None if self._queue.answered is None else now - self._queue.answered,
            INSTANCES: None if self._instances.answered is None else now - self._instances.answered,
            EVENTS: self._from.listener.age,
            CPU: cpu.age,
            NODES: peers.age if peers else None,
            BOOTS: None if booted is None else max(0.0, at - booted),
            SERVICE: max(0.0, at - worked) if worked is not None else demand if counted.service_seconds else None,
        }
        return {name: age for name, age in ages.items() if age is not None}
