"""The stages on which the behaviours of fleets are shown: a fleet, its AWS, and what may go wrong between them."""

import uuid
from collections import defaultdict, deque
from functools import partial

import moto_cloud
import msgspec
from botocore.exceptions import EndpointConnectionError
from observations import observation

from autoscaler.actor import Actor, Tools
from autoscaler.fleets.asg import AsgFleet
from autoscaler.fleets.ec2 import Ec2Fleet, places
from autoscaler.lease import Lease
from autoscaler.metrics import Metrics
from autoscaler.roster import Roster
from autoscaler.trouble import Troubles
from skylens.clock import FakeClock
from skylens.fakes import FakeGroup, FakeInstances, FakeStore, aws_error
from skylens.groups import AsgGroup
from skylens.instances import ALIVE, Ec2Instances


def throttled(do):
    """Refused without effect."""
    del do
    raise aws_error("RequestLimitExceeded", 503)


def unsent(do):
    """Never arrives."""
    del do
    raise EndpointConnectionError(endpoint_url="https://aws")


def lost(do):
    """Done, but the answer does not come."""
    do()
    raise EndpointConnectionError(endpoint_url="https://aws")


def repeated(do):
    """Arrives twice."""
    do()
    return do()


def ignored(do):
    """Answered, but not done."""
    del do


class Faulty:
    """A port of AWS whose next calls of a method go wrong as planned."""

    def __init__(self, port):
        self._port, self._planned, self.calls = port, defaultdict(deque), []

    def plan(self, method, *faults):
        self._planned[method].extend(faults)

    def __getattr__(self, method):
        def call(*arguments, **named):
            self.calls.append(method)
            do = partial(getattr(self._port, method), *arguments, **named)
            return self._planned[method].popleft()(do) if self._planned[method] else do()

        return call


class Stage:
    """A fleet, driven as the loop drives it."""

    maximum = 6

    def __init__(self, instances):
        """``instances``: makes the port of EC2 from a clock."""
        self.fake_clock = FakeClock()
        self.clock = self.fake_clock.clock()
        self.ec2 = instances(self.clock)
        self.instances = Faulty(self.ec2)
        self.roster = Roster(self.clock)
        self.lease = Lease(FakeStore(self.clock), "one", 10, self.clock)
        metrics = Metrics()
        self.fleet = self.make()
        tools = Tools(self.fleet, self.roster, self.lease, metrics, Troubles(metrics))
        self.actor = Actor(tools, self.clock)
        self.peak = 0

    def make(self):
        """Launches by ``launcher.launching``."""
        kinds = places(("c7i.large", "m7i.large"), (), spot=False)
        self.launcher, self.launching = self.instances, "launch"
        return Ec2Fleet(self.instances, kinds, self.clock)

    def breaks(self, *faults):
        """The next launches go wrong."""
        self.launcher.plan(self.launching, *faults)

    def look(self):
        if (look := self.fleet.look(self.roster.members())) is not None:
            self.roster.look(look)

    def seen(self):
        return msgspec.structs.replace(observation(maximum=self.maximum), workers=self.roster.workers())

    def tick(self, wanted):
        """One second of the loop, with so many active instances wanted."""
        self.fake_clock.sleep(1)
        self.lease.keep({})
        settled = self.actor.settle()
        self.look()
        seen = self.seen()
        if settled:
            self.actor.resize(min(wanted, max(seen.active, self.maximum - seen.leaving)), seen)
            self.actor.tend(seen)
        self.peak = max(self.peak, len(self.alive))

    def ticks(self, count, wanted):
        for _ in range(count):
            self.tick(wanted)

    def launch(self, count):
        return self.fleet.launch(count, sure=lambda: True)

    @property
    def alive(self):
        """Who really exists."""
        return [one.id for one in self.ec2.all() if one.state in ALIVE]

    @property
    def tagged(self):
        return [one.id for one in self.ec2.all() if one.draining]

    def ends(self, one):
        """By itself."""
        self.ec2.terminate(one)

    @property
    def ended(self):
        """How often the fleet ended somebody."""
        return self.instances.calls.count("terminate")


class GroupStage(Stage):
    def __init__(self, instances, group):
        """``group``: makes the port of the group from that of EC2."""
        self._group = group
        super().__init__(instances)

    def make(self):
        self.real_group = self._group(self.ec2)
        self.group = Faulty(self.real_group)
        self.launcher, self.launching = self.group, "resize"
        return AsgFleet(self.instances, self.group, self.clock)

    @property
    def ended(self):
        return super().ended + self.group.calls.count("remove")


def fake_ec2():
    return Stage(FakeInstances)


def fake_asg():
    return GroupStage(FakeInstances, lambda ec2: FakeGroup(ec2, maximum=Stage.maximum))


def _moto_instances(address, deployment):
    ec2 = moto_cloud.client("ec2", address)
    moto_cloud.template(ec2, f"{deployment}-worker")
    return lambda _: Ec2Instances(ec2, deployment, f"{deployment}-worker")


def moto_ec2(address):
    return Stage(_moto_instances(address, f"d{uuid.uuid4().hex[:12]}"))


def moto_asg(address):
    deployment = f"d{uuid.uuid4().hex[:12]}"
    autoscaling = moto_cloud.client("autoscaling", address)

    def group(_):
        return AsgGroup(autoscaling, moto_cloud.group(autoscaling, deployment, Stage.maximum))

    return GroupStage(_moto_instances(address, deployment), group)


FAKES = {"ec2": fake_ec2, "asg": fake_asg}
REAL = {"ec2-moto": moto_ec2, "asg-moto": moto_asg}
