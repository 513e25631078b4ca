"""Fleet ``alarms``: what it publishes and when, whom it lets go, and that AWS alone launches and takes."""

import msgspec
import pytest
from botocore.exceptions import EndpointConnectionError
from observations import observation

from autoscaler.fleets.alarms import AlarmsFleet, metrics
from autoscaler.policies import make
from autoscaler.policies.watch import Watch
from autoscaler.roster import Roster
from skylens.alarms import declared
from skylens.clock import FakeClock
from skylens.fakes import FakeCloudWatch, FakeGroup, FakeInstances
from skylens.messages import Worker
from skylens.settings import ScalerSettings


class Bench:
    """The fleet over a group with a termination hook, whose members AWS takes without asking."""

    def __init__(self):
        self.time = FakeClock(1_700_000_000.0)
        clock = self.time.clock()
        self.instances, self.cloudwatch = FakeInstances(clock), FakeCloudWatch(clock)
        self.group = FakeGroup(self.instances, maximum=5, hooked=True, protected=False)
        self.fleet, self.roster = AlarmsFleet(self.instances, self.group, self.cloudwatch, clock), Roster(clock)

    def aws_wants(self, desired):
        self.group.resize(desired)
        self.look()

    def look(self):
        self.roster.look(self.fleet.look(self.roster.members()))
        return self.roster.workers()

    def tend(self, **seen):
        self.look()
        told = msgspec.structs.replace(observation(**seen), workers=self.roster.workers())
        self.fleet.tend(told)

    @property
    def calls(self):
        return [name for name, _ in self.group.script.calls if name not in {"view", "refusal"}]

    @property
    def alive(self):
        return self.instances.alive


@pytest.fixture
def bench():
    return Bench()


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (observation(), {"Unserved": 0, "Demand": 0}),
        (observation(outstanding=9), {"Unserved": 9, "Demand": 9}),
        (observation(outstanding=9, draining=1), {"Unserved": 9, "Demand": 9}),
        (observation(outstanding=9, pending=1), {"Unserved": 0, "Demand": 9, "BacklogPerInstance": 9}),
        (
            observation(outstanding=9, booting=1, busy=2),
            {"Unserved": 0, "Demand": 9, "BacklogPerInstance": 3, "BacklogIfOneFewer": 4.5},
        ),
        (observation(outstanding=9, stale=["demand"]), {}),
        (observation(outstanding=9, stale=["instances"]), {}),
        (observation(outstanding=9, busy=3, stale=["queue"]), {"Unserved": 0, "BacklogPerInstance": 3}),
        (observation(outstanding=9, busy=3, stale=["events"]), {"Unserved": 0, "BacklogPerInstance": 3}),
        (observation(outstanding=9, busy=3, stale=["cpu"]), metrics(observation(outstanding=9, busy=3))),
    ],
)
def test_what_is_told_of_a_moment(seen, told):
    assert metrics(seen) == told


@pytest.mark.parametrize(("arrivals", "completions", "demand"), [((2, *[0] * 14), (), 2), ((2, *[0] * 15), (), 0)])
def test_an_image_counts_as_demand_for_fifteen_seconds(arrivals, completions, demand):
    for seen in ({"arrivals": arrivals}, {"completions": arrivals}):
        assert metrics(msgspec.structs.replace(observation(), **seen))["Demand"] == demand


def test_all_that_the_alarms_look_at_is_told():
    looked_at = {alarm.metric_name for alarm in declared(deployment="d").alarms}
    assert looked_at == metrics(observation(busy=2)).keys()


def test_there_is_one_data_point_in_each_ten_seconds_of_the_clock(bench):
    for _ in range(60):
        bench.tend()
        bench.time.sleep(1.1)
    times = [at for at, _ in bench.cloudwatch.published]
    assert [at // 10 for at in times] == [170_000_000 + period for period in range(7)]


def test_a_data_point_that_was_not_taken_is_told_again_and_members_are_cared_for_all_the_same(bench):
    bench.aws_wants(1)
    bench.aws_wants(0)
    bench.instances.terminate(bench.alive[0])
    bench.cloudwatch.script.fail("publish", EndpointConnectionError(endpoint_url="https://monitoring"))
    with pytest.raises(EndpointConnectionError):
        bench.tend()
    assert (bench.group.members, bench.cloudwatch.published) == ({}, [])
    bench.time.sleep(1)
    bench.tend()
    assert len(bench.cloudwatch.published) == 1


def test_nothing_is_told_while_demand_is_unknown_and_the_reason_says_so(bench):
    bench.tend(stale=["demand"])
    assert bench.cloudwatch.published == []
    assert "sees nothing while demand is stale" in Watch().decide(observation(stale=["demand"])).reason


def test_the_policy_of_this_fleet_wants_what_there_is():
    policy = make(ScalerSettings(fleet="alarms", policy="greedy"))
    decision = policy.decide(observation(outstanding=90, busy=3, draining=1))
    assert decision.desired == 3
    assert decision.reason == "AWS scales: 90 outstanding, 30.0 per instance"


def test_it_launches_calls_off_and_drains_nobody(bench):
    bench.aws_wants(2)
    before = bench.calls
    assert bench.fleet.launch(3, lambda: True) == []
    assert bench.fleet.call_off(1) == 0
    bench.fleet.drain(bench.alive)
    assert (bench.calls, len(bench.alive)) == (before, 2)
    assert not any(one.draining for one in bench.instances.all())


def test_what_aws_is_launching_counts_as_pending(bench):
    bench.group.delay = 30
    bench.aws_wants(2)
    assert [worker.state for worker in bench.look()] == ["pending", "pending"]


def test_a_member_that_aws_takes_is_draining_at_once_and_may_finish(bench):
    bench.aws_wants(2)
    bench.aws_wants(1)
    bench.tend()
    assert sorted(worker.state for worker in bench.look()) == ["draining", "pending"]
    assert len(bench.alive) == 2


def let_go_with(bench, state):
    """Let AWS take the only member, whose worker is in that state; whether it was let go."""
    bench.aws_wants(1)
    (one,) = bench.alive
    bench.aws_wants(0)
    bench.look()
    bench.fleet.tend(msgspec.structs.replace(observation(), workers=(Worker(instance=one, state=state, age=9.0),)))
    return not bench.alive


@pytest.mark.parametrize(
    ("state", "goes"), [("busy", False), ("draining", False), ("ready", False), ("stopping", True)]
)
def test_a_taken_member_is_let_go_once_its_worker_has_stopped(bench, state, goes):
    assert let_go_with(bench, state) is goes


def test_members_on_their_way_out_take_room_from_what_aws_may_launch(bench):
    bench.group.maximum = 20
    bench.aws_wants(3)
    bench.tend()
    assert bench.group.maximum == 20
    bench.aws_wants(1)
    bench.tend()
    assert bench.group.maximum == 18
    for one in [one for one, state in bench.group.members.items() if state == "Terminating:Wait"]:
        bench.instances.terminate(one)
    bench.tend()
    bench.tend()
    assert bench.group.maximum == 20


def test_a_taken_member_whose_instance_ended_is_let_go(bench):
    bench.aws_wants(2)
    bench.aws_wants(1)
    (taken,) = [one for one, state in bench.group.members.items() if state == "Terminating:Wait"]
    bench.instances.terminate(taken)
    bench.tend()
    assert list(bench.group.members) == bench.alive


def test_a_member_that_ended_by_itself_gives_its_place_back(bench):
    bench.aws_wants(2)
    bench.instances.terminate(bench.alive[0])
    for _ in range(3):
        bench.tend()
    assert (bench.group.desired, len(bench.group.members), len(bench.alive)) == (1, 1, 1)


def test_a_lost_member_goes_through_the_hook_without_waiting_for_its_worker(bench):
    bench.aws_wants(2)
    bench.fleet.terminate(lost := bench.alive[0])
    bench.roster.ended(lost)
    assert bench.group.members[lost] == "Terminating:Wait"
    bench.tend()
    assert (bench.group.desired, lost in bench.alive) == (1, False)
