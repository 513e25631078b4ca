"""The adapter of Auto Scaling, what moto's server is put right in, and the fleet that the settings name."""

from datetime import UTC, datetime

import moto_cloud
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto_cloud import serving_moto

from autoscaler.fleets.alarms import AlarmsFleet
from autoscaler.fleets.asg import AsgFleet
from autoscaler.fleets.ec2 import Ec2Fleet
from autoscaler.fleets.make import make
from skylens.aws import Aws
from skylens.aws_errors import Trouble, classify, is_gone, is_passing
from skylens.clock import Clock
from skylens.fakes import aws_error
from skylens.groups import AsgGroup, GroupView
from skylens.settings import ScalerSettings

ONE = "i-0123456789abcdef0"
NAMED = {"AutoScalingGroupName": "group"}
REMOVED = {"InstanceId": ONE, "ShouldDecrementDesiredCapacity": True}


@pytest.fixture(scope="module")
def moto():
    with serving_moto() as address:
        yield address


def made(moto, deployment, **options):
    """A group of two in moto, as its adapter, and the client of EC2."""
    ec2, autoscaling = moto_cloud.client("ec2", moto), moto_cloud.client("autoscaling", moto)
    moto_cloud.template(ec2, f"{deployment}-worker")
    group = AsgGroup(autoscaling, moto_cloud.group(autoscaling, deployment, 5, **options))
    group.resize(2)
    return group, ec2


def test_a_group_grows_and_a_removed_member_is_not_replaced(moto):
    group, _ = made(moto, "grows")
    view = group.view()
    assert (view.desired, view.maximum, set(view.members.values())) == (2, 5, {"InService"})
    group.remove(min(view.members))
    assert group.view() == GroupView(1, 5, {max(view.members): "InService"})
    assert group.refusal(0) == ""


def test_what_is_no_member_is_passed_over(moto):
    group, _ = made(moto, "stranger")
    group.remove(ONE)
    assert group.view().desired == 2


def test_a_group_that_is_missing_is_gone(moto):
    with pytest.raises(ClientError, match="no group nobody") as raised:
        AsgGroup(moto_cloud.client("autoscaling", moto), "nobody").view()
    assert is_gone(raised.value)


@pytest.mark.parametrize(("suspended", "stays"), [(["ReplaceUnhealthy"], True), ([], False)])
def test_who_ended_itself_stays_in_the_list_of_a_group_that_replaces_nobody(moto, suspended, stays):
    group, ec2 = made(moto, f"stays-{stays}".lower(), suspended=suspended)
    before = group.view().members
    ec2.terminate_instances(InstanceIds=[min(before)])
    after = group.view()
    assert (after.desired, len(after.members)) == (2, 2)
    assert (after.members == before) is stays


def test_lowering_the_capacity_leaves_protected_members_alone(moto):
    group, _ = made(moto, "protected")
    group.resize(1)
    assert len(group.view().members) == 2


@pytest.fixture
def stub():
    """A group whose client answers what is stubbed."""
    client = moto_cloud.client("autoscaling", "http://127.0.0.1:9")
    with Stubber(client) as stubber:
        yield AsgGroup(client, "group"), stubber


def test_the_capacity_is_set_whatever_a_cooldown_says(stub):
    group, stubber = stub
    stubber.add_response("set_desired_capacity", {}, {**NAMED, "DesiredCapacity": 3, "HonorCooldown": False})
    group.resize(3)
    stubber.assert_no_pending_responses()


def test_a_waiting_member_is_let_go_through_the_hook_and_one_that_does_not_wait_is_passed_over(stub):
    group, stubber = stub
    expected = {
        **NAMED,
        "LifecycleHookName": "drain",
        "LifecycleActionResult": "CONTINUE",
        "InstanceId": ONE,
    }
    stubber.add_response("complete_lifecycle_action", {}, expected)
    stubber.add_client_error(
        "complete_lifecycle_action",
        "ValidationError",
        f"No active Lifecycle Action found with instance ID {ONE}",
        expected_params=expected,
    )
    for _ in range(2):
        group.complete(ONE)
    stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("operation", "method"),
    [("terminate_instance_in_auto_scaling_group", "remove"), ("complete_lifecycle_action", "complete")],
)
def test_other_refusals_are_raised(stub, operation, method):
    group, stubber = stub
    stubber.add_client_error(operation, "ValidationError", "Currently, desiredSize equals minSize (1).")
    with pytest.raises(ClientError, match="minSize"):
        getattr(group, method)(ONE)


def activity(at, description, status, message=""):
    return {
        "ActivityId": "a",
        "AutoScalingGroupName": "group",
        "Cause": "c",
        "StartTime": datetime.fromtimestamp(at, UTC),
        "Description": description,
        "StatusCode": status,
        **({"StatusMessage": message} if message else {}),
    }


LAUNCH = f"Launching a new EC2 instance: {ONE}"
NONE_LEFT = "Could not launch Spot Instances. UnfulfillableCapacity - Launching EC2 instance failed."


@pytest.mark.parametrize(
    ("activities", "why"),
    [
        ([], ""),
        ([activity(20, LAUNCH, "Failed", NONE_LEFT)], NONE_LEFT),
        ([activity(20, LAUNCH, "Failed")], "a launch failed"),
        ([activity(9, LAUNCH, "Failed", NONE_LEFT)], ""),
        ([activity(30, LAUNCH, "InProgress"), activity(20, LAUNCH, "Failed", NONE_LEFT)], NONE_LEFT),
        ([activity(30, LAUNCH, "Successful"), activity(20, LAUNCH, "Failed", NONE_LEFT)], ""),
        ([activity(30, "Terminating", "Successful"), activity(20, LAUNCH, "Failed", NONE_LEFT)], NONE_LEFT),
        ([activity(20, "Terminating EC2 instance", "Failed", "no")], ""),
    ],
)
def test_the_latest_finished_launch_tells_whether_the_group_tries_in_vain(stub, activities, why):
    group, stubber = stub
    stubber.add_response("describe_scaling_activities", {"Activities": activities}, {**NAMED, "MaxRecords": 20})
    assert group.refusal(10) == why


def test_members_that_leave_are_not_counted_by_the_capacity():
    states = ["Pending", "Pending:Wait", "InService", "Terminating", "Terminating:Wait", "Terminated", "Detaching"]
    view = GroupView(5, 9, {state: state for state in states})
    assert (view.staying, view.coming) == ({"Pending", "Pending:Wait", "InService"}, 2)
    assert view.without("InService") == GroupView(4, 9, {state: state for state in states if state != "InService"})


@pytest.mark.parametrize("code", ["ResourceContention", "ScalingActivityInProgress"])
def test_a_group_that_is_busy_is_asked_again(code):
    assert classify(aws_error(code, 500)) is Trouble.THROTTLED
    assert is_passing(aws_error(code, 400))


def test_a_call_to_the_group_takes_no_longer_than_it_may_and_is_made_once():
    config = Aws("us-east-1").autoscaling(5).meta.config
    assert config.connect_timeout + config.read_timeout == 5
    assert config.retries["total_max_attempts"] == 1


@pytest.mark.parametrize(("name", "kind"), [("ec2", Ec2Fleet), ("asg", AsgFleet), ("alarms", AlarmsFleet)])
def test_the_settings_name_the_fleet(name, kind):
    assert type(make(ScalerSettings(fleet=name), Aws("us-east-1"), 5.0, "", Clock())) is kind
