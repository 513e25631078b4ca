"""The stand-in for what AWS does by itself to a group: its rules, its edge on moto, and a fleet that AWS sizes."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import boto3
import msgspec
import pytest
import requests
from botocore.exceptions import EndpointConnectionError
from crowd import many
from harness import Cloud
from moto import mock_aws

from skylens.alarms import declared
from skylens.clock import FakeClock
from skylens.cloudwatch import AwsCloudWatch
from skylens.local import group, moto_groups
from skylens.local.clients import Clients
from skylens.local.metadata import Registry
from skylens.local.scaling import Scaler, adjusted, adjustment, is_alarming
from skylens.local.tiers import Options

SCALING = declared(deployment="d", slots=8, acceptable_backlog=100, scale_in_periods=3, drain_seconds=60)
START, OUT, FEWER, IDLE = SCALING.alarms
_ = None


@pytest.mark.parametrize(
    ("points", "alarming"),
    [
        ([0, 0, 0, 0, 0], True),
        ([9, 9, 0, 0, 0], True),
        ([0, 0, 0, 0, 9], False),
        ([0, 0, 9, 0, 0], False),
        ([0, _, 0, _, 0], True),
        ([_, 0, 0, 0, _], True),
        ([9, _, 0, _, 0], False),
        ([_, _, _, 0, 0], False),
        ([_, _, _, _, _], False),
    ],
)
def test_three_of_three_periods_are_the_latest_three_that_exist(points, alarming):
    assert is_alarming(IDLE, points) is alarming


@pytest.mark.parametrize(("needed", "alarming"), [(1, True), (2, True), (3, False)])
def test_some_of_several_data_points_may_be_enough(needed, alarming):
    alarm = msgspec.structs.replace(IDLE, datapoints_to_alarm=needed)
    assert is_alarming(alarm, [_, _, 0, 9, 0]) is alarming
    assert is_alarming(alarm, [_, _, 0, _, 0]) is alarming


@pytest.mark.parametrize(
    ("alarm", "value", "alarming"),
    [(START, 0, False), (START, 1, True), (OUT, 99, False), (OUT, 100, True), (FEWER, 4, False), (FEWER, 3.9, True)],
)
def test_a_threshold_itself_is_on_the_side_that_the_comparison_says(alarm, value, alarming):
    assert is_alarming(alarm, [value] * 3) is alarming


@pytest.mark.parametrize(
    ("alarm", "value", "by"),
    [
        (OUT, 100, 100),
        (OUT, 199.9, 100),
        (OUT, 200, 300),
        (OUT, 400, 700),
        (OUT, 9999, 700),
        (FEWER, 3.9, -25),
        (FEWER, 2.1, -25),
        (FEWER, 2, -50),
        (FEWER, 0, -50),
        (IDLE, 0, -100),
        (IDLE, 0.9, 0),
    ],
)
def test_the_step_is_that_of_the_distance_from_the_threshold(alarm, value, by):
    assert adjustment(alarm, SCALING.policy(alarm), value) == by


@pytest.mark.parametrize(
    ("alarm", "current", "by", "capacity"),
    [
        (START, 0, 2, 2),
        (START, 5, 1, 6),
        (OUT, 3, 100, 6),
        (OUT, 0, 100, 1),
        (OUT, 3, 50, 4),
        (OUT, 3, 10, 4),
        (FEWER, 4, -25, 3),
        (FEWER, 7, -25, 6),
        (FEWER, 2, -25, 1),
        (FEWER, 0, -25, 0),
        (IDLE, 7, -100, 0),
        (IDLE, 7, 0, 7),
    ],
)
def test_a_change_in_percent_is_rounded_towards_zero_but_is_one_instance_at_least(alarm, current, by, capacity):
    assert adjusted(SCALING.policy(alarm), current, by) == capacity


class Bench:
    """The stand-in on moto, on a clock turned by hand; a ``Scaler`` that is looked at each second."""

    def __init__(self):
        self.time, self.said, self.registry = FakeClock(1_900_000_000.0), [], Registry()
        clock = self.time.clock()
        self.ec2, self.groups, self.cloudwatch = map(boto3.client, ("ec2", "autoscaling", "cloudwatch"))
        template = {"ImageId": "ami-00000000000000000", "InstanceType": "c7i.large"}
        self.ec2.create_launch_template(LaunchTemplateName="d-worker", LaunchTemplateData=template)
        clients = SimpleNamespace(autoscaling=lambda: self.groups, cloudwatch=lambda: self.cloudwatch)
        group.create(clients, "workers", Options(deployment="d").shared(), 5, SCALING)
        self.metrics = AwsCloudWatch(self.cloudwatch, "d", clock)
        self.scaler = Scaler(self.groups, self.cloudwatch, "workers", SCALING, self.registry, self.said.append, clock)

    def periods(self, count=1, **told):
        """So many periods, each with these metrics told at its begin."""
        for _ in range(count):
            if told:
                self.metrics.publish(told)
            self.seconds(10)

    def seconds(self, count):
        for _ in range(count):
            self.scaler.tick()
            self.time.sleep(1)

    @property
    def group(self):
        return self.groups.describe_auto_scaling_groups()["AutoScalingGroups"][0]

    @property
    def desired(self):
        return self.group["DesiredCapacity"]

    @property
    def members(self):
        return [(one["InstanceId"], one["LifecycleState"]) for one in self.group["Instances"]]

    @property
    def states(self):
        return {one["AlarmName"]: one["StateValue"] for one in self.cloudwatch.describe_alarms()["MetricAlarms"]}

    def aws_takes_one(self):
        """A member in its termination hook, known to the metadata service."""
        self.groups.set_desired_capacity(AutoScalingGroupName="workers", DesiredCapacity=1)
        ((one, _),) = self.members
        self.registry.add(one, "", {})
        self.groups.set_desired_capacity(AutoScalingGroupName="workers", DesiredCapacity=0)
        return one

    def told(self, one):
        """What the metadata of an instance say of its end."""
        path = "meta-data/autoscaling/target-lifecycle-state"
        return self.registry.read(one, self.registry.token(one, 60), path)[1]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for owner, name, mine in moto_groups.REPLACED:
        monkeypatch.setattr(owner, name, mine, raising=False)
    with mock_aws():
        yield Bench()


def test_waiting_images_start_the_fleet_and_a_backlog_makes_it_grow_up_to_the_maximum(bench):
    bench.periods(Unserved=150)
    assert bench.desired == 2
    bench.periods(Unserved=0, BacklogPerInstance=100)
    assert bench.desired == 4
    bench.periods(BacklogPerInstance=900)
    assert bench.desired == 4
    bench.periods(6, BacklogPerInstance=900)
    assert bench.desired == 5
    assert bench.said == [
        "alarm d-start: desired capacity 0 -> 2",
        "alarm d-out: desired capacity 2 -> 4",
        "alarm d-out: desired capacity 4 -> 5",
    ]


def test_an_alarm_that_lasts_acts_once_a_minute(bench):
    bench.periods(12, Unserved=1)
    assert bench.desired == 2


def test_an_alarm_that_came_back_acts_at_once(bench):
    bench.periods(Unserved=1)
    bench.periods(Unserved=0)
    bench.periods(Unserved=1)
    assert bench.desired == 2


def test_the_fleet_shrinks_step_by_step_and_at_once_when_nothing_comes(bench):
    bench.periods(Unserved=1000)
    bench.periods(4, Demand=9, BacklogIfOneFewer=3)
    assert bench.desired == 4
    bench.periods(2, Demand=0, BacklogIfOneFewer=0)
    assert bench.desired == 4
    bench.periods(Demand=0, BacklogIfOneFewer=0)
    assert bench.desired == 0


def test_of_two_alarms_at_once_the_larger_capacity_counts(bench):
    bench.periods(Unserved=1000)
    bench.periods(4, Demand=0, BacklogIfOneFewer=0)
    assert bench.desired == 3


def test_missing_data_take_nobody(bench):
    bench.periods(Unserved=1000)
    bench.periods(2, Demand=0, BacklogIfOneFewer=0)
    bench.periods(60)
    assert bench.desired == 5


def test_the_state_of_each_alarm_can_be_read(bench):
    bench.periods(Unserved=1)
    assert bench.states == {"d-start": "ALARM", "d-out": "OK", "d-in": "OK", "d-idle": "OK"}
    bench.periods(Unserved=0)
    assert set(bench.states.values()) == {"OK"}


def test_a_member_that_is_to_go_is_told_and_kept_until_its_worker_left(bench):
    one = bench.aws_takes_one()
    assert bench.told(one) == ""
    bench.seconds(30)
    assert bench.told(one) == "Terminated"
    assert (bench.members, bench.desired) == ([(one, "Terminating:Wait")], 0)


def test_the_hook_runs_out(bench):
    one = bench.aws_takes_one()
    bench.seconds(62)
    assert bench.members == []
    assert f"{one} did not leave within 60 s" in bench.said[0]
    (reservation,) = bench.ec2.describe_instances(InstanceIds=[one])["Reservations"]
    assert reservation["Instances"][0]["State"]["Name"] == "terminated"


def test_an_emulator_that_does_not_answer_is_asked_again(bench, monkeypatch):
    def refuse(**_):
        raise EndpointConnectionError(endpoint_url="http://moto")

    with monkeypatch.context() as broken:
        broken.setattr(bench.groups, "describe_auto_scaling_groups", refuse)
        bench.seconds(1)
    assert "did not answer" in bench.said[0]
    bench.periods(Unserved=1)
    assert bench.desired == 1


def test_what_is_declared_is_what_aws_gets(bench):
    alarms = {one["AlarmName"]: one for one in bench.cloudwatch.describe_alarms()["MetricAlarms"]}
    policies = {one["PolicyName"]: one for one in bench.groups.describe_policies()["ScalingPolicies"]}
    assert alarms["d-in"]["AlarmActions"] == [policies["d-in"]["PolicyARN"]]
    assert (alarms["d-out"]["Threshold"], alarms["d-out"]["Period"]) == (100, 10)
    assert policies["d-in"]["StepAdjustments"] == [
        {"MetricIntervalUpperBound": -2.0, "ScalingAdjustment": -50},
        {"MetricIntervalLowerBound": -2.0, "ScalingAdjustment": -25},
    ]
    (hook,) = bench.groups.describe_lifecycle_hooks(AutoScalingGroupName="workers")["LifecycleHooks"]
    assert (hook["LifecycleHookName"], hook["HeartbeatTimeout"]) == ("drain", 60)
    assert {one["ProcessName"] for one in bench.group["SuspendedProcesses"]} == {"AZRebalance", "ReplaceUnhealthy"}


def test_the_embedded_cloud_declares_what_its_settings_mean():
    options = Options(idle_seconds=25, settings={"worker": {"slots": "4"}, "scaler": {"latency_goal": "0.5"}})
    _, out, fewer, _ = options.scaling().alarms
    assert (out.threshold, fewer.threshold, fewer.evaluation_periods) == (20, 2, 3)


@pytest.mark.parametrize(
    ("fleet", "policy", "lines"), [("asg", "deficit", 1), ("asg", "greedy", 0), ("ec2", "deficit", 0)]
)
def test_a_groups_template_says_when_idle_workers_leave_under_policies_that_leave_that_to_them(fleet, policy, lines):
    assert ("idle_timeout" in Options(fleet=fleet, policy=policy, idle_seconds=7).worker()) == bool(lines)


ALARMS = ("--fleet", "alarms", "--set", "worker.slots=4", "--set", "scaler.latency_goal=0.2")


@pytest.mark.system
@pytest.mark.parametrize("fleet", [("--fleet", "asg", "--policy", "greedy"), ALARMS], ids=lambda fleet: fleet[1])
def test_a_group_grows_answers_everybody_and_shrinks_to_none(fleet, tmp_path):
    with Cloud(tmp_path, "--max", "3", "--boot", "1", "--idle", "1", *fleet) as cloud, cloud.watch_fleet() as watch:
        pictures, sent = (named for seed in itertools.count() for named in many(30, seed)), []
        with ThreadPoolExecutor(30) as clients:

            def is_grown():
                more = itertools.islice(pictures, 30 - sum(not answer.done() for answer in sent))
                sent.extend(clients.submit(requests.post, cloud.url, files={"file": named}) for named in more)
                return watch.largest > 1

            cloud.wait(is_grown, 60, "a load that lasts has brought a second worker")
        assert {answer.result().status_code for answer in sent} == {200}
        assert 1 < watch.largest <= 3
        groups = Clients(cloud.environment).autoscaling()

        def empty():
            (found,) = groups.describe_auto_scaling_groups()["AutoScalingGroups"]
            return (found["DesiredCapacity"], found["Instances"]) == (0, [])

        cloud.wait(empty, 90, "the group is empty, and wants to be")
        cloud.wait(lambda: not cloud.instances(), 20, "every instance is terminated")
        assert len(cloud.worker_logs()) == watch.largest
