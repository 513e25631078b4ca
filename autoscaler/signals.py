"""Makes one Observation each tick, from the web nodes, SQS, EC2 and the workers' events."""

from typing import NamedTuple

from autoscaler.demand import DemandView
from autoscaler.fleets import Fleet
from autoscaler.listener import Listener
from autoscaler.nodes import Nodes
from autoscaler.observation import DEMAND, EVENTS, INSTANCES, QUEUE, Observation
from autoscaler.roster import Roster
from autoscaler.trouble import Troubles
from skylens.clock import Clock
from skylens.queues import Queue
from skylens.settings import ScalerSettings

LOOK_EVERY = 1.0
COUNT_EVERY = 5.0


class Sources(NamedTuple):
    """Where the signals come from. ``requests``: the queue whose counts are the cross-check."""

    nodes: Nodes
    requests: Queue
    fleet: Fleet
    roster: Roster
    listener: Listener


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

    def ok(self, now: float) -> None:
        self.answered, self.stale = now, False


class Signals:
    """Owned by the loop's thread. A source that fails leaves its last values and is named stale."""

    def __init__(self, sources: Sources, settings: ScalerSettings, troubles: Troubles, clock: Clock) -> None:
        self._from, self._settings, self._troubles, self._clock = sources, settings, troubles, clock
        self._demand = DemandView(settings.web_nodes)
        self._queue, self._instances = _Source(COUNT_EVERY), _Source(LOOK_EVERY)

    def observe(self) -> Observation:
        self._ask_nodes()
        self._count_queue()
        self._look()
        roster, settings = self._from.roster, self._settings
        counted = self._demand.counted(self._clock.ticks())
        return Observation(
            at=self._clock.now(),
            outstanding=counted.outstanding,
            oldest=counted.oldest,
            arrivals=counted.arrivals,
            completions=counted.completions,
            queue=self._demand.queue,
            workers=roster.workers(),
            minimum=settings.minimum,
            maximum=settings.maximum,
            slots=roster.slots(),
            boot_seconds=roster.boot_seconds(settings.expected_boot_seconds),
            service_seconds=roster.service_seconds() or counted.service_seconds,
            stale=self._stale(demand=not counted.trusted),
            ages=self._ages(),
        )

    def _ask_nodes(self) -> None:
        answers = self._from.nodes.demands()
        for node, demand in answers.items():
            self._troubles.say(f"demand of {node}", "" if demand else "no answer")
        self._demand.fold(answers, self._clock.ticks())

    def _count_queue(self) -> None:
        if self._queue.due(self._clock.ticks()):
            with self._troubles.aws("queue counts"):
                self._demand.count(self._from.requests.counts(), self._clock.ticks())
                self._queue.ok(self._clock.ticks())

    def _look(self) -> None:
        """What EC2 shows was true when asked, at the latest."""
        asked = self._clock.ticks()
        if self._instances.due(asked):
            with self._troubles.aws("instances"):
                roster = self._from.roster
                roster.look(self._from.fleet.instances(roster.members()))
                self._instances.ok(asked)

    def _stale(self, *, demand: bool) -> frozenset[str]:
        listener = self._from.listener
        silent = {
            DEMAND: demand,
            QUEUE: self._queue.stale,
            INSTANCES: self._instances.stale,
            EVENTS: listener.listening and listener.deaf,
        }
        return frozenset(name for name, is_silent in silent.items() if is_silent)

    def _ages(self) -> dict[str, float]:
        now = self._clock.ticks()
        ages = {
            DEMAND: self._demand.age(now),
            QUEUE: None if self._queue.answered is None else now - self._queue.answered,
            INSTANCES: None if self._instances.answered is None else now - self._instances.answered,
            EVENTS: self._from.listener.age,
        }
        return {name: age for name, age in ages.items() if age is not None}
