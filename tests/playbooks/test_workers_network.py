"""The workers' network, launch template and group, log group and budget, made by the playbooks in the emulators."""

import base64
import json
import math

import pytest
from aws_emulators import emulated
from cfnlint import api as cfnlint
from workers_account import IMAGE, Workers, inventory

from app_aws.metadata import parse_user_data
from skylens.alarms import declared
from skylens.instances import Ec2Instances, Place
from skylens.settings import WorkerSettings

pytestmark = pytest.mark.nightly

ROLES = ("aws_network", "aws_watch", "aws_fleet")
WORKERS = "alpha-workers"
ANYWHERE = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A deployment of which nothing was made yet: its roles only ran in check mode."""
    settings = {"skylens_fleet": "alarms", "skylens_instance_types": ["c7i.large", "c7a.large"], "skylens_spot": True}
    budget = {"skylens_budget_monthly": 50, "skylens_budget_email": "who@example.com"}
    settings |= {"skylens_worker_settings": {"slots": 6}, "skylens_log_retention_days": 7, **budget}
    with emulated(tmp_path_factory.mktemp("emulators")) as variables:
        deployment = Workers(tmp_path_factory.mktemp("alpha"), variables, "alpha", **settings)
        deployment.before = inventory(deployment.client)
        deployment.checked = deployment.play(*ROLES, check=True, extra={"aws_fleet_ami": IMAGE})
        deployment.after = inventory(deployment.client)
        yield deployment


@pytest.fixture(scope="module")
def made(empty):
    """The same deployment, made."""
    empty.give_role()
    told = {"copy": {"content": "{{ skylens_scaler_env.subnets }}", "dest": str(empty.folder / "subnets")}}
    empty.play(*ROLES, told, extra={"aws_fleet_ami": IMAGE})
    return empty


@pytest.fixture(scope="module")
def template(made):
    (version,) = made.client("ec2").describe_launch_template_versions(
        LaunchTemplateName="alpha-worker", Versions=["$Default"]
    )["LaunchTemplateVersions"]
    return version["LaunchTemplateData"]


@pytest.fixture(scope="module")
def group(made):
    (found,) = made.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[WORKERS])[
        "AutoScalingGroups"
    ]
    return found


def test_check_mode_on_an_empty_account_tells_changes_and_makes_nothing(empty):
    assert empty.checked.stats["localhost"]["changed"] > 0
    assert empty.after == empty.before


def test_a_second_run_changes_nothing(made):
    before = inventory(made.client)
    again = made.play(*ROLES, extra={"aws_fleet_ami": IMAGE})
    assert again.stats["localhost"]["changed"] == 0, again.output
    assert inventory(made.client) == before


def test_check_mode_on_what_is_made_tells_no_change(made):
    checked = made.play(*ROLES, check=True, extra={"aws_fleet_ami": IMAGE})
    assert checked.stats["localhost"]["changed"] == 0, checked.output


def test_workers_run_in_two_zones_without_public_addresses(made):
    subnets = made.of("describe_subnets", "Subnets")
    assert {one["AvailabilityZone"] for one in subnets} == {"us-east-1a", "us-east-1b"}
    assert {one["CidrBlock"] for one in subnets} == {"10.77.0.0/20", "10.77.16.0/20"}
    assert not any(one["MapPublicIpOnLaunch"] for one in subnets)


def test_their_only_ways_out_are_the_endpoints(made):
    (table,) = made.of("describe_route_tables", "RouteTables")
    assert {one["SubnetId"] for one in table["Associations"]} == {
        one["SubnetId"] for one in made.of("describe_subnets", "Subnets")
    }
    assert sorted(one["GatewayId"].partition("-")[0] for one in table["Routes"]) == ["local", "vpce"]
    assert made.of("describe_internet_gateways", "InternetGateways") == []


def test_s3_has_a_gateway_endpoint_and_sqs_one_of_its_usual_name_in_each_zone(made):
    endpoints = {
        one["ServiceName"].rpartition(".")[2]: one for one in made.of("describe_vpc_endpoints", "VpcEndpoints")
    }
    assert endpoints.keys() == {"s3", "sqs"}
    assert endpoints["s3"]["VpcEndpointType"] == "Gateway"
    assert endpoints["sqs"]["PrivateDnsEnabled"]
    assert len(endpoints["sqs"]["SubnetIds"]) == 2
    for service, own in (("s3", "arn:aws:s3:::alpha-input/*"), ("sqs", "arn:aws:sqs:us-east-1:123456789012:alpha-*")):
        (statement,) = json.loads(endpoints[service]["PolicyDocument"])["Statement"]
        assert own in statement["Resource"]
        assert "*" not in statement["Resource"]


def test_an_endpoint_that_leads_elsewhere_is_told(made):
    """AWS's module changes no endpoint that is there, so somebody has to."""
    ec2 = made.client("ec2")
    (sqs,) = [one for one in made.of("describe_vpc_endpoints", "VpcEndpoints") if one["ServiceName"].endswith("sqs")]
    ec2.modify_vpc_endpoint(VpcEndpointId=sqs["VpcEndpointId"], PolicyDocument=json.dumps(ANYWHERE))
    with pytest.raises(AssertionError, match=f"the policy of the endpoint {sqs['VpcEndpointId']} of sqs allows \\*"):
        made.play("aws_network")
    ec2.modify_vpc_endpoint(VpcEndpointId=sqs["VpcEndpointId"], PolicyDocument=sqs["PolicyDocument"])


def test_nothing_comes_in_to_a_worker_and_only_https_to_the_endpoints_goes_out(made):
    groups = {one["GroupName"]: one for one in made.of("describe_security_groups", "SecurityGroups")}
    assert groups.keys() == {WORKERS, f"{WORKERS}-endpoints"}
    workers, endpoints = groups[WORKERS], groups[f"{WORKERS}-endpoints"]
    assert workers["IpPermissions"] == []
    out = workers["IpPermissionsEgress"]
    assert {(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in out} == {("tcp", 443, 443)}
    assert [ranges for rule in out for ranges in rule["IpRanges"]] == []
    assert [pair["GroupId"] for rule in out for pair in rule["UserIdGroupPairs"]] == [endpoints["GroupId"]]
    (prefix,) = [each["PrefixListId"] for rule in out for each in rule["PrefixListIds"]]
    (table,) = made.of("describe_route_tables", "RouteTables")
    assert prefix in [route.get("DestinationPrefixListId") for route in table["Routes"]]
    (into,) = endpoints["IpPermissions"]
    assert sorted(each["CidrIp"] for each in into["IpRanges"]) == ["10.77.0.0/20", "10.77.16.0/20"]
    assert (into["FromPort"], endpoints["IpPermissionsEgress"]) == (443, [])


def test_an_instance_is_safe_to_lose_and_ends_when_it_turns_itself_off(template):
    assert template["MetadataOptions"]["HttpTokens"] == "required"
    assert template["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    assert template["InstanceInitiatedShutdownBehavior"] == "terminate"
    (disk,) = template["BlockDeviceMappings"]
    assert disk["Ebs"] == {"DeleteOnTermination": True, "Encrypted": True, "VolumeSize": 16, "VolumeType": "gp3"}
    assert template["IamInstanceProfile"]["Arn"].endswith(":instance-profile/alpha-worker")
    assert "NetworkInterfaces" not in template
    kinds = {
        each["ResourceType"]: {"Key": "skylens:deployment", "Value": "alpha"} in each["Tags"]
        for each in template["TagSpecifications"]
    }
    assert kinds == {"instance": True, "volume": True, "network-interface": True}


def test_its_user_data_are_a_workers_settings(template):
    given = parse_user_data(base64.b64decode(template["UserData"]).decode())
    read = WorkerSettings(**{name.removeprefix("SKYLENS_").lower(): value for name, value in given.items()})
    assert (read.deployment, read.slots, read.bucket("input")) == ("alpha", 6, "alpha-input")


def test_the_autoscaler_launches_from_it_where_it_is_told_to(made):
    told = (made.folder / "subnets").read_text().split()
    assert told == [
        one["SubnetId"]
        for one in sorted(made.of("describe_subnets", "Subnets"), key=lambda one: one["AvailabilityZone"])
    ]
    ec2 = made.client("ec2")
    (one,) = Ec2Instances(ec2, "alpha", "alpha-worker").launch(1, "token", Place("c7i.large", told[1]))
    (instance,) = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"]
    assert instance["SubnetId"] == told[1]
    ec2.terminate_instances(InstanceIds=[one])


def test_the_group_is_the_autoscalers_to_size(group):
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (0, 20, 0)
    assert {each["ProcessName"] for each in group["SuspendedProcesses"]} == set(
        declared(deployment="d").suspended_processes
    )
    (tag,) = group["Tags"]
    assert (tag["Key"], tag["Value"], tag["PropagateAtLaunch"]) == ("skylens:deployment", "alpha", True)
    policy = group["MixedInstancesPolicy"]
    assert [each["InstanceType"] for each in policy["LaunchTemplate"]["Overrides"]] == ["c7i.large", "c7a.large"]
    assert policy["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"] == "$Default"
    assert policy["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"] == 0


def test_the_alarms_and_what_they_do_are_those_of_the_declaration(made):
    """The module takes whole bounds alone: the lower whole number means the same, as images come whole."""
    wanted = declared(deployment="alpha", slots=6, acceptable_backlog=120)
    policies = {
        each["PolicyName"]: each
        for each in made.client("autoscaling").describe_policies(AutoScalingGroupName=WORKERS)["ScalingPolicies"]
    }
    alarms = {each["AlarmName"]: each for each in made.client("cloudwatch").describe_alarms()["MetricAlarms"]}
    assert policies.keys() == {each.name for each in wanted.policies}
    assert alarms.keys() == {each.name for each in wanted.alarms}
    for alarm in wanted.alarms:
        found, policy = alarms[alarm.name], wanted.policy(alarm)
        assert (found["MetricName"], found["Namespace"], found["Statistic"]) == (
            alarm.metric_name,
            alarm.namespace,
            alarm.statistic,
        )
        assert (found["ComparisonOperator"], found["Threshold"], found["Period"]) == (
            alarm.comparison,
            alarm.threshold,
            alarm.period,
        )
        assert (found["EvaluationPeriods"], found["DatapointsToAlarm"], found["TreatMissingData"]) == (
            alarm.evaluation_periods,
            alarm.datapoints_to_alarm,
            alarm.treat_missing_data,
        )
        assert found["AlarmActions"] == [policies[policy.name]["PolicyARN"]]
        assert {each["Name"]: each["Value"] for each in found["Dimensions"]} == alarm.dimensions
        assert policies[policy.name]["AdjustmentType"] == policy.adjustment_type
        assert [steps(each) for each in policies[policy.name]["StepAdjustments"]] == [
            (whole(each.lower_bound), whole(each.upper_bound), each.scaling_adjustment)
            for each in policy.step_adjustments
        ]


def whole(bound):
    return None if bound is None else math.floor(bound)


def steps(found):
    return found.get("MetricIntervalLowerBound"), found.get("MetricIntervalUpperBound"), found["ScalingAdjustment"]


def test_the_groups_hook_gives_a_worker_time(made):
    (hook,) = made.client("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName=WORKERS)["LifecycleHooks"]
    wanted = declared(deployment="alpha").lifecycle_hook
    assert (hook["LifecycleHookName"], hook["HeartbeatTimeout"]) == (
        wanted.lifecycle_hook_name,
        wanted.heartbeat_timeout,
    )
    assert hook["LifecycleTransition"] == wanted.transition


def test_logs_are_kept_as_long_as_set(made):
    (found,) = made.client("logs").describe_log_groups(logGroupNamePrefix="/skylens/alpha")["logGroups"]
    assert found["retentionInDays"] == 7


def test_the_budget_counts_the_deployments_tag_and_is_a_template_that_aws_takes(made):
    """The emulator knows no budgets, so this looks at what is sent."""
    template = made.client("cloudformation").get_template(StackName="alpha-budget")["TemplateBody"]
    text = template if isinstance(template, str) else json.dumps(template)
    assert [str(fault) for fault in cfnlint.lint(text, config=cfnlint.ManualArgs(regions=["us-east-1"]))] == []
    properties = json.loads(text)["Resources"]["Budget"]["Properties"]
    assert properties["Budget"]["BudgetLimit"] == {"Amount": 50, "Unit": "USD"}
    assert properties["Budget"]["CostFilters"] == {"TagKeyValue": ["user:skylens:deployment$alpha"]}
    assert {each["Subscribers"][0]["Address"] for each in properties["NotificationsWithSubscribers"]} == {
        "who@example.com"
    }


def test_another_fleet_takes_the_place_of_the_one_before(made):
    """Last, for it changes what the others look at."""
    autoscaling, extra = made.client("autoscaling"), {"aws_fleet_ami": IMAGE}
    made.play("aws_fleet", extra={**extra, "skylens_fleet": "asg"})
    (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[WORKERS])["AutoScalingGroups"]
    assert group["NewInstancesProtectedFromScaleIn"]
    assert "AlarmNotification" in {each["ProcessName"] for each in group["SuspendedProcesses"]}
    again = made.play("aws_fleet", extra={**extra, "skylens_fleet": "asg"})
    assert again.stats["localhost"]["changed"] == 0, again.output
    made.play("aws_fleet", extra={**extra, "skylens_fleet": "ec2"})
    assert not {one for one in inventory(made.client) if one.startswith(("group:", "alarm:"))}
