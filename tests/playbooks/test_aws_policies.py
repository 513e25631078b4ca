"""Each tier's policy allows every call that the tier makes, and none that only another one makes."""

import ast
import json
from pathlib import Path

import botocore
import pytest
from iam import ACCOUNT, CALLS, DISK, OWNED, PLACE, Asked, allows, ec2, questions, s3, sqs
from moto.iam.policy_validation import IAMPolicyDocumentValidator
from rendered import render

from skylens.instances import BUILDER, TIER_TAG

OURS = {"skylens:deployment": "skylens"}
CALLER = {"aws_access_caller": {"account": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:user/operator"}}
WORKER = f"arn:aws:iam::{ACCOUNT}:role/skylens-worker"
VARIANTS = {
    "ec2": {},
    "spot": {"skylens_spot": True, "skylens_worker_ami": "ami-1"},
    "asg": {"skylens_fleet": "asg"},
    "alarms": {"skylens_fleet": "alarms"},
    "cpu": {"skylens_scaler_settings": {"cpu_source": "cloudwatch"}},
}
ROOT = Path(__file__).parents[2]


def rendered(folder, variant, **settings):
    """The policies of the three tiers."""
    files = {tier: (f"{tier}.json.j2", None) for tier in ("web", "worker", "scaler")}
    render(folder, "aws_access", files, **CALLER, **VARIANTS[variant], **settings)
    return {tier: json.loads((folder / tier).read_text()) for tier in files}


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    """By tier, and of the autoscaler by variant."""
    made = {variant: rendered(tmp_path_factory.mktemp(variant), variant) for variant in VARIANTS}
    return {variant: made[variant]["scaler"] for variant in VARIANTS} | {
        tier: made["ec2"][tier] for tier in ("web", "worker")
    }


def on(queue, *operations):
    return [(operation, {"QueueName": f"skylens-{queue}"}) for operation in ("GetQueueUrl", *operations)]


def place(path):
    bucket, _, key = path.partition("/")
    return {"Bucket": f"skylens-{bucket}", "Key": key}


def at(path, *operations):
    return [(operation, place(path)) for operation in operations]


def first(path):
    """A write that never takes the place of what is there."""
    return ("PutObject", {**place(path), "IfNoneMatch": "*"})


def listing(*buckets):
    return [call for bucket in buckets for call in at(bucket, "ListObjectsV2")]


TEMPLATE = {"LaunchTemplate": {"LaunchTemplateName": "skylens-worker"}}
OWN = [{"Key": "skylens:deployment", "Value": "skylens"}]
TAGGED = {"TagSpecifications": [{"ResourceType": "instance", "Tags": OWN}]}
LAUNCH = {**TEMPLATE, **TAGGED, "InstanceType": "c7i.large"}
BAKES = {"aws:ResourceTag/skylens:deployment": "skylens", f"aws:ResourceTag/{TIER_TAG}": BUILDER}
MEMBER = {"InstanceId": "i-1"}
GROUP = {"AutoScalingGroupName": "skylens-workers"}
LIMIT = {**GROUP, "MaxSize": 20, "DesiredCapacity": 3}
SCALER = [
    *at("state/lease/autoscaler", "GetObject", "PutObject"),
    *at("state/learned/autoscaler", "GetObject", "PutObject"),
    *listing("state"),
    *on("requests", "GetQueueAttributes"),
    *on("events", "ReceiveMessage", "DeleteMessageBatch"),
    ("DescribeInstances", {}),
    ("CreateTags", {"Resources": ["i-1"], "Tags": [{"Key": "skylens:state", "Value": "draining"}]}),
    ("TerminateInstances", {"InstanceIds": ["i-1"]}),
]
EC2 = [*SCALER, ("DescribeLaunchTemplateVersions", {}), ("RunInstances", LAUNCH)]
IN_GROUP = [
    *SCALER,
    ("DescribeAutoScalingGroups", {}),
    ("DescribeScalingActivities", {}),
    ("TerminateInstanceInAutoScalingGroup", MEMBER),
    ("CompleteLifecycleAction", GROUP),
]
NEEDS = {
    "web": [
        *at("input/default/1", "PutObject", "GetObject", "DeleteObject"),
        *at("input/default/uploads/1", "DeleteObject"),
        ("CopyObject", {**place("input/default/2"), "CopySource": place("input/default/1")}),
        *at("output/default/1.json", "GetObject", "PutObject"),
        first("output/default/1.json"),
        *at("state/idempotency/default/1", "GetObject", "PutObject"),
        *at("state/batches/default/1", "GetObject", "PutObject"),
        *at("state/dead/default/1", "PutObject", "DeleteObject"),
        *at("state/deleted/1/default/1", "PutObject"),
        *at("state/webhooks/default/1", "GetObject", "PutObject", "DeleteObject"),
        *at("state/models/active.json", "GetObject"),
        *listing("input", "output", "state"),
        *on("requests", "SendMessage", "SendMessageBatch", "GetQueueAttributes"),
        *on("requests-dead", "ReceiveMessage", "DeleteMessageBatch"),
        *on("replies-web-1-8080", "CreateQueue", "SetQueueAttributes", "TagQueue", "ListQueueTags", "DeleteQueue"),
        *on("replies-web-1-8080", "SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch"),
        ("ListQueues", {"QueueNamePrefix": "skylens-replies-"}),
    ],
    "worker": [
        *at("input/default/1", "GetObject"),
        *at("output/default/1.json", "GetObject"),
        first("output/default/1.json"),
        *at("state/lease/autoscaler", "GetObject"),
        *at("state/models/active.json", "GetObject"),
        *at("state/models/mobilenet/2/model.onnx", "GetObject"),
        *listing("input", "output", "state"),
        *on("requests", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"),
        *on("requests", "SendMessage", "SendMessageBatch"),
        *on("requests-dead", "SendMessage"),
        *on("replies-web-1-8080", "SendMessage", "SendMessageBatch"),
        *on("events", "SendMessage"),
    ],
    "ec2": EC2,
    "spot": [*EC2, ("RunInstances", {**LAUNCH, "InstanceMarketOptions": {"MarketType": "spot"}})],
    "cpu": [*EC2, ("GetMetricData", {})],
    "asg": [*IN_GROUP, ("SetDesiredCapacity", GROUP)],
    "alarms": [*IN_GROUP, ("UpdateAutoScalingGroup", LIMIT), ("PutMetricData", {"Namespace": "Skylens"})],
}
LOGS = Asked("logs:PutLogEvents", f"arn:aws:logs:{PLACE}:{ACCOUNT}:log-group:/skylens/skylens:log-stream:i-1", OWNED)
ALL = [call for calls in NEEDS.values() for call in calls]


@pytest.mark.parametrize("who", NEEDS)
def test_a_tier_may_make_each_call_that_it_makes(policies, who):
    for operation, call in NEEDS[who]:
        refused = [asked for asked in questions(operation, call, OURS) if not allows(policies[who], asked)]
        assert not refused, (operation, call)


@pytest.mark.parametrize("who", NEEDS)
def test_a_tier_may_make_no_call_that_only_others_make(policies, who):
    for operation, call in ALL:
        if (operation, call) not in NEEDS[who]:
            assert not all(allows(policies[who], asked) for asked in questions(operation, call, OURS)), (
                operation,
                call,
            )


@pytest.mark.parametrize("who", NEEDS)
def test_a_tier_may_make_none_of_its_calls_in_another_deployment(policies, who):
    """Where IAM knows no resource or tag of the call, it cannot tell deployments apart."""
    for operation, call in NEEDS[who]:
        theirs = json.loads(json.dumps(call).replace("skylens-", "other-").replace('"skylens"', '"other"'))
        tags = {"skylens:deployment": "other"}
        asked = questions(operation, theirs, tags)
        if all(one.resource == "*" for one in asked):
            continue
        assert not all(allows(policies[who], one) for one in asked), (operation, theirs)


@pytest.mark.parametrize("who", NEEDS)
def test_a_bucket_of_our_name_in_another_account_is_out_of_reach(policies, who):
    """As of a deployment that was taken away, whose buckets' names anybody may take."""
    for operation, call in NEEDS[who]:
        for asked in questions(operation, call, OURS):
            if asked.action.startswith("s3:"):
                theirs = {**asked.context, "aws:ResourceAccount": "999999999999"}
                assert not allows(policies[who], asked._replace(context=theirs)), (operation, call)


@pytest.mark.parametrize("who", NEEDS)
@pytest.mark.parametrize(
    "asked",
    [
        Asked("s3:DeleteObject", s3("skylens-output/default/1.json"), OWNED),
        Asked("s3:DeleteObject", s3("skylens-state/deleted/1/default/1"), OWNED),
        Asked("s3:DeleteObjectVersion", s3("skylens-input/default/1"), OWNED),
        Asked("s3:DeleteObjectVersion", s3("skylens-output/default/1.json"), OWNED),
        Asked("s3:PutBucketPolicy", s3("skylens-input"), OWNED),
        Asked("s3:PutLifecycleConfiguration", s3("skylens-state"), OWNED),
        Asked("s3:PutObject", s3("skylens-state/models/active.json"), OWNED),
        Asked("sqs:SetQueueAttributes", sqs("skylens-requests")),
        Asked("sqs:PurgeQueue", sqs("skylens-requests")),
        Asked("sqs:DeleteQueue", sqs("skylens-requests")),
        Asked("sqs:CreateQueue", sqs("skylens-requests")),
        Asked("iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/skylens-web"),
        Asked("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {"iam:PassedToService": "ec2.amazonaws.com"}),
        Asked("iam:PassRole", WORKER, {"iam:PassedToService": "lambda.amazonaws.com"}),
        Asked("sts:AssumeRole", WORKER),
        Asked("ec2:CreateTags", ec2("instance/i-1"), {"aws:TagKeys": ["skylens:deployment"]}),
        Asked(
            "ec2:CreateTags",
            ec2("instance/i-1"),
            {"aws:ResourceTag/skylens:deployment": "skylens", "aws:TagKeys": ["skylens:state", "Name"]},
        ),
        Asked("ec2:TerminateInstances", ec2("instance/i-1")),
        Asked("ec2:TerminateInstances", ec2("instance/i-1"), BAKES),
        Asked("ec2:CreateTags", ec2("instance/i-1"), {**BAKES, "aws:TagKeys": ["skylens:state"]}),
        Asked("ec2:ModifyInstanceAttribute", ec2("instance/i-1"), {"aws:ResourceTag/skylens:deployment": "skylens"}),
        Asked("ec2:CreateLaunchTemplateVersion", ec2("launch-template/lt-1"), OURS),
        Asked("autoscaling:DeleteAutoScalingGroup", "*"),
        Asked("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/EC2"}),
    ],
    ids=lambda asked: f"{asked.action}-{asked.resource.rpartition(':')[2]}",
)
def test_nobody_may_do_what_nobody_does(policies, who, asked):
    assert not allows(policies[who], asked)


def test_what_an_image_is_baked_on_has_the_tag_by_which_autoscalers_know_it(tmp_path):
    (tmp_path / "tags.j2").write_text("{{ aws_image_builder_tags | to_json }}")
    render(tmp_path / "rendered", "aws_image", {"tags": (str(tmp_path / "tags.j2"), None)})
    assert json.loads((tmp_path / "rendered" / "tags").read_text())[TIER_TAG] == BUILDER


@pytest.mark.parametrize(
    "wrong",
    [
        {**LAUNCH, "InstanceType": "p5.48xlarge"},
        {**TEMPLATE, "InstanceType": "c7i.large"},
        {**TAGGED, "InstanceType": "c7i.large"},
        {**LAUNCH, "InstanceMarketOptions": {"MarketType": "spot"}},
        {**LAUNCH, "SecurityGroupIds": ["sg-1"]},
        {**LAUNCH, "ImageId": "ami-1"},
        {**LAUNCH, "BlockDeviceMappings": [DISK, {"Ebs": {"VolumeSize": 16384, "VolumeType": "gp3"}}]},
        {**LAUNCH, "BlockDeviceMappings": [{"Ebs": {"VolumeSize": 16, "VolumeType": "io2"}}]},
        {**LAUNCH, "BlockDeviceMappings": [{"Ebs": {**DISK["Ebs"], "Iops": 16000}}]},
        {**LAUNCH, "BlockDeviceMappings": [{"Ebs": {**DISK["Ebs"], "Throughput": 1000}}]},
        {**LAUNCH, "Placement": {"Tenancy": "dedicated"}},
        {**LAUNCH, "MetadataOptions": {"HttpTokens": "optional"}},
        {
            **LAUNCH,
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [*OWN, {"Key": TIER_TAG, "Value": BUILDER}]}],
        },
    ],
    ids=[
        "another-type",
        "without-the-tag",
        "without-the-template",
        "spot-although-not-set",
        "another-group",
        "another-image",
        "a-large-disk",
        "an-expensive-disk",
        "a-quick-disk",
        "a-wide-disk",
        "a-machine-of-its-own",
        "a-metadata-service-without-tokens",
        "one-that-no-autoscaler-sees",
    ],
)
def test_the_autoscaler_launches_nothing_but_what_it_was_made_for(policies, wrong):
    assert not all(allows(policies["ec2"], asked) for asked in questions("RunInstances", wrong, OURS))


@pytest.mark.parametrize(
    "wrong",
    [
        {"MaxSize": 21},
        {"MinSize": 20},
        {"LaunchConfigurationName": "another"},
        {"LaunchTemplate": {"LaunchTemplateName": "another"}},
        {"MixedInstancesPolicy": {"LaunchTemplate": {"Overrides": [{"InstanceType": "p5.48xlarge"}]}}},
        {"VPCZoneIdentifier": "subnet-2"},
        {"CapacityReservationSpecification": {"CapacityReservationTarget": {"CapacityReservationIds": ["cr-1"]}}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_the_autoscaler_changes_of_its_group_no_more_than_its_size(policies, wrong):
    (asked,) = questions("UpdateAutoScalingGroup", {**LIMIT, **wrong}, OURS)
    assert not allows(policies["alarms"], asked)


@pytest.mark.parametrize(("present", "most"), [(0, 20), (20, 20), (35, 35)])
def test_a_group_larger_than_the_maximum_may_be_brought_down_step_by_step(tmp_path, present, most):
    groups = {"results": [{"max_size": present}]}
    policy = rendered(tmp_path, "alarms", aws_access_groups=groups)["scaler"]
    for size in (most, most + 1):
        (asked,) = questions("UpdateAutoScalingGroup", {**LIMIT, "MaxSize": size}, OURS)
        assert allows(policy, asked) is (size == most)


def test_an_image_of_ones_own_may_have_disks_of_any_kind(tmp_path):
    policy = rendered(tmp_path, "ec2", skylens_worker_ami="ami-1")["scaler"]
    call = {**LAUNCH, "BlockDeviceMappings": [{"Ebs": {"VolumeSize": 200, "VolumeType": "io2"}}]}
    disks = [asked for asked in questions("RunInstances", call, OURS) if asked.resource == ec2("volume/*")]
    assert [allows(policy, asked) for asked in disks] == [True]


def test_a_worker_may_not_write_an_outcome_in_the_place_of_another(policies):
    assert not allows(policies["worker"], Asked("s3:PutObject", s3("skylens-output/default/1.json"), OWNED))


@pytest.mark.parametrize(
    "how",
    [
        {"s3:x-amz-storage-class": "GLACIER"},
        {"s3:x-amz-server-side-encryption": "aws:kms"},
        {"s3:x-amz-server-side-encryption-customer-algorithm": "AES256"},
    ],
)
def test_a_worker_may_not_write_an_outcome_that_nobody_can_read(policies, how):
    (asked,) = questions(*first("output/default/1.json"), OURS)
    assert allows(policies["worker"], asked)
    assert not allows(policies["worker"], asked._replace(context={**asked.context, **how}))


@pytest.mark.parametrize(
    ("network", "may"),
    [({"aws:SourceVpc": "vpc-1"}, True), ({"aws:SourceVpc": "vpc-2"}, False), ({"aws:SourceIp": "192.0.2.7"}, False)],
    ids=["its-own", "another", "none"],
)
def test_a_workers_identity_is_worth_something_in_its_network_alone(policies, network, may):
    """As somebody has it who took a worker over and told the world."""
    issued = {"ec2:SourceInstanceARN": ec2("instance/i-1"), "aws:ec2InstanceSourceVPC": "vpc-1"}
    for operation, call in NEEDS["worker"]:
        for asked in questions(operation, call, OURS):
            given = asked._replace(context={**asked.context, **issued, **network})
            assert allows(policies["worker"], given) is may, (operation, call)


def test_only_the_workers_write_their_logs(policies):
    assert [who for who in NEEDS if allows(policies[who], LOGS)] == ["worker"]


def test_each_policy_fits_into_iam(policies):
    """IAM counts what is not white space: 6,144 characters of a managed policy."""
    for who, policy in policies.items():
        assert len(json.dumps(policy, separators=(",", ":"))) < 6144, who
        names = [statement["Sid"] for statement in policy["Statement"]]
        assert len(set(names)) == len(names), who


def test_each_policy_is_one_that_iam_takes(policies):
    """As moto knows IAM's grammar."""
    for policy in policies.values():
        IAMPolicyDocumentValidator(json.dumps(policy)).validate()


def operations(source):
    """Operations of boto3's clients that a module calls."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr == "get_paginator":
            yield node.args[0].value
        elif ast.unparse(node.func.value) in {"self._client", "self._polling"}:
            yield node.func.attr


def test_every_operation_that_the_ports_call_is_judged_here():
    """So that a new call without a right fails here, not in AWS."""
    ports = ("store", "queues", "instances", "groups", "cloudwatch")
    called = {name for port in ports for name in operations((ROOT / "skylens" / f"{port}.py").read_text())}
    called.remove("generate_presigned_url")  # calls nothing: it signs a PutObject, which has to be allowed
    known = {botocore.xform_name(operation) for operation in CALLS}
    assert called == known


def test_no_tier_calls_aws_but_through_those_ports():
    """Clients are made by ``skylens/aws.py`` and go into the ports alone."""
    for room in ("web_openstack", "app_aws", "autoscaler"):
        for path in (ROOT / room).rglob("*.py"):
            imported = {
                name
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Import | ast.ImportFrom)
                for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
                if name
            }
            assert not {name for name in imported if name.partition(".")[0] == "boto3"}, path
