"""A small world around the loop, second by second: web node, queue, EC2 and workers, all on one fake clock."""

import contextlib
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import pytest
from botocore.exceptions import EndpointConnectionError

from autoscaler.fleets.ec2 import Ec2Fleet, places
from autoscaler.lease import Lease
from autoscaler.ledger import Accounts
from autoscaler.listener import Listener
from autoscaler.loop import Loop, Parts
from autoscaler.memory import Memory, Minds
from autoscaler.metrics import Metrics
from autoscaler.policies import make
from autoscaler.prices import Prices
from autoscaler.roster import Roster
from autoscaler.signals import Signals, Sources
from autoscaler.trouble import Troubles
from skylens.clock import FakeClock
from skylens.fakes import FakeInstances, FakeQueue, FakeStore
from skylens.instances import ANYWHERE, Instance, Place
from skylens.messages import Demand, FleetReport, WorkerEvent, encode
from skylens.queues import Counts
from skylens.settings import ScalerSettings

EMPTY = Counts(0, 0)
NODE = "http://web"
UNREACHABLE = EndpointConnectionError(endpoint_url="https://ec2")


@dataclass
class Ec2(FakeInstances):
    """EC2 that may launch and lose the answer, and that knows which workers were busy when they were terminated."""

    lose: int = 0
    busy: set[str] = field(default_factory=set)
    killed_at_work: list[str] = field(default_factory=list)
    peak: int = 0
    hidden: int = 0
    """For how many looks it shows nothing."""

    def all(self, expected: Collection[str] = ()) -> list[Instance]:
        shown = super().all(expected)
        if self.hidden:
            self.hidden -= 1
            return []
        return shown

    def launch(self, count: int, token: str, place: Place = ANYWHERE, user_data: str = "") -> list[str]:
        ids = super().launch(count, token, place, user_data)
        self.peak = max(self.peak, len(self.alive))
        if self.lose:
            self.lose -= 1
            raise UNREACHABLE
        return ids

    def terminate(self, one: str) -> None:
        self.killed_at_work += [one] if one in self.busy else []
        super().terminate(one)

    def ends(self, one: str) -> None:
        """By itself."""
        self.instances[one] = self.instances[one]._replace(state="terminated")


@dataclass
class Requests(FakeQueue):
    """The requests queue's counts, as the test says."""

    shown: Counts = EMPTY

    def counts(self) -> Counts:
        self.script.called("counts")
        return self.shown


@dataclass
class Web:
    """One web node that counts. ``down``: it does not answer."""

    clock: FakeClock
    outstanding: int = 0
    started: float = 0.0
    down: bool = False
    told: list[FleetReport] = field(default_factory=list)

    def demands(self) -> dict[str, Demand | None]:
        return {NODE: None if self.down else self._demand()}

    def _demand(self) -> Demand:
        return Demand(
            node="web",
            at=self.clock.now(),
            started=self.started,
            arrivals=(0, 0),
            completions=(0, 0),
            outstanding=self.outstanding,
            oldest=1.0 if self.outstanding else 0.0,
            service_times=(),
        )

    def tell(self, report: FleetReport) -> dict[str, bool]:
        self.told.append(report)
        return {NODE: not self.down}


@dataclass
class Machine:
    """One instance's worker. ``mute``: its events are lost; ``hangs``: it never comes up."""

    ready_at: float
    up: bool = False
    in_flight: int = 0
    idle_since: float = 0.0
    mute: bool = False
    hangs: bool = False


@dataclass
class World:
    boot: float = 5.0
    slots: int = 4
    speed: int = 2
    """Images that a worker finishes in a second."""
    idle_timeout: float = 0.0
    clock: FakeClock = field(default_factory=FakeClock)
    machines: dict[str, Machine] = field(default_factory=dict)
    hang_all: bool = False
    made: int = 0

    def __post_init__(self) -> None:
        clock = self.clock.clock()
        self.ec2 = Ec2(clock)
        self.events = FakeQueue(clock)
        self.requests = Requests(clock)
        self.store = FakeStore(clock)
        self.web = Web(self.clock, started=self.clock.now() - 3600)
        self.autoscalers: list[Autoscaler] = []

    def autoscaler(self, **settings: object) -> "Autoscaler":
        """Of policy ``greedy``, whose numbers are easy to tell, unless the settings say another."""
        self.made += 1
        chosen = ScalerSettings(**{"web_nodes": NODE, "policy": "greedy", **settings})
        made = Autoscaler(self, f"scaler-{self.made}", chosen)
        self.autoscalers.append(made)
        return made

    @property
    def alive(self) -> int:
        return len(self.ec2.alive)

    @property
    def launches(self) -> int:
        return sum(len(ids) for ids in self.ec2.tokens.values())

    def second(self, asleep: "Autoscaler | None" = None) -> None:
        """One second: the workers work, then each living autoscaler ticks but the one that is ``asleep``."""
        self.clock.sleep(1)
        self._work()
        for one in self.autoscalers:
            if one is not asleep:
                one.tick()

    def seconds(self, count: float, asleep: "Autoscaler | None" = None) -> None:
        for _ in range(math.ceil(count)):
            self.second(asleep)

    def _work(self) -> None:
        now = self.clock.now()
        for one in self.ec2.alive:
            fresh = Machine(now + self.boot, hangs=self.hang_all)
            machine = self.machines.setdefault(one, fresh)
            instance = self.ec2.instances[one] = self.ec2.instances[one]._replace(state="running")
            if machine.hangs or now < machine.ready_at:
                continue
            self._serve(one, machine, draining=instance.draining)
        self.ec2.busy = {one for one, machine in self.machines.items() if machine.in_flight}

    def _serve(self, one: str, machine: Machine, *, draining: bool) -> None:
        now = self.clock.now()
        first, machine.up = not machine.up, True
        done = min(machine.in_flight, self.speed)
        machine.in_flight -= done
        self.web.outstanding -= done
        taken = sum(other.in_flight for other in self.machines.values())
        if not draining:
            machine.in_flight += max(0, min(self.slots - machine.in_flight, self.web.outstanding - taken))
        if machine.in_flight or first:
            machine.idle_since = now
        leaves = draining or (self.idle_timeout and now - machine.idle_since >= self.idle_timeout)
        if leaves and not machine.in_flight:
            self.ec2.ends(one)
            self._say(one, "stopped")
        elif not machine.mute:
            self._say(one, "ready" if first else "heartbeat")

    def _say(self, one: str, kind: str) -> None:
        at, in_flight = self.clock.now(), self.machines[one].in_flight
        cpu = 100 * in_flight / self.slots if kind == "heartbeat" else None
        event = WorkerEvent(kind=kind, instance=one, at=at, in_flight=in_flight, slots=self.slots, cpu=cpu)
        self.events.send(encode(event))


class Autoscaler:
    """One autoscaler's process in the world; its listener is stepped, not run."""

    def __init__(self, world: World, owner: str, settings: ScalerSettings) -> None:
        clock = world.clock.clock()
        self.metrics = Metrics()
        troubles = Troubles(self.metrics)
        self.roster = Roster(clock)
        self.listener = Listener(world.events, self.roster, troubles, clock)
        self.fleet = Ec2Fleet(world.ec2, places((), settings.subnets, spot=False), clock)
        accounts = Accounts(Prices(settings.prices), settings.instance_types)
        sources = Sources(world.web, world.requests, self.fleet, self.roster, self.listener, accounts)
        self.lease = None if settings.dry_run else Lease(world.store, owner, settings.lease_seconds, clock)
        self.signals = Signals(sources, settings, troubles, clock)
        self.policy = make(settings)
        minds = Minds(self.roster, accounts, self.policy, settings.policy)
        parts = Parts(
            signals=self.signals,
            policy=self.policy,
            fleet=self.fleet,
            roster=self.roster,
            listener=self.listener,
            lease=self.lease,
            memory=Memory(world.store, self.lease, minds, troubles, clock),
            nodes=world.web,
            metrics=self.metrics,
            troubles=troubles,
        )
        self.loop = Loop(parts, settings, clock)
        self._world = world

    def tick(self) -> None:
        while self.listener.listening and self.listener.step() and self._world.events.counts().visible:
            pass
        self.loop.tick()

    def dies(self) -> None:
        """Killed: no goodbye."""
        self._world.autoscalers.remove(self)

    def stops(self) -> None:
        self.loop.leave()
        self.dies()


def slow_web(world: World, seconds: float) -> None:
    """Let the next answer of the web node take that long."""
    demands = world.web.demands

    def slow() -> dict[str, Demand | None]:
        world.web.demands = demands
        world.clock.sleep(seconds)
        return demands()

    world.web.demands = slow


@contextlib.contextmanager
def refusing(service: object, *methods: str) -> Iterator[None]:
    """Every call of these methods fails for a while."""

    def refuse(*arguments: object, **named: object) -> None:
        raise UNREACHABLE

    with pytest.MonkeyPatch.context() as patch:
        for method in methods:
            patch.setattr(service, method, refuse)
        yield
