"""What IAM decides, as far as the policies of this product go, and what IAM is asked about each call of boto3.

An operator that ``CONDITIONS`` lacks is an error, so a policy cannot use one that is not evaluated here.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

PLACE, ACCOUNT = "us-east-1", "123456789012"
IMAGE = f"arn:aws:ec2:{PLACE}::image/ami-1"
OWNED = {"aws:ResourceAccount": ACCOUNT}


class Asked(NamedTuple):
    """One question to IAM. ``context``: condition keys and what they are in this call."""

    action: str
    resource: str = "*"
    context: Mapping[str, Any] = {}


def _words(value):
    return [value] if isinstance(value, str) else list(value)


def _any(patterns, value):
    return value is not None and any(fnmatchcase(value, pattern) for pattern in _words(patterns))


CONDITIONS = {
    "StringEquals": lambda wanted, found: found in _words(wanted),
    "StringEqualsIfExists": lambda wanted, found: found is None or found in _words(wanted),
    "StringNotEquals": lambda wanted, found: found not in _words(wanted),
    "ForAllValues:StringEquals": lambda wanted, found: set(_words(found or [])) <= set(_words(wanted)),
    "ArnLike": _any,
    "Bool": lambda wanted, found: found == wanted,
    "BoolIfExists": lambda wanted, found: found is None or found == wanted,
    "Null": lambda wanted, found: (found is None) is (wanted == "true"),
    "NumericLessThanEquals": lambda wanted, found: found is not None and float(found) <= float(wanted),
    "NumericLessThanEqualsIfExists": lambda wanted, found: found is None or float(found) <= float(wanted),
}


def _resolved(wanted, context):
    """``${key}`` stands for what the key is in this call: nothing, which is equal to nothing, where it has none."""
    is_variable = isinstance(wanted, str) and wanted.startswith("${")
    return [context[wanted[2:-1]]] if is_variable and wanted[2:-1] in context else [] if is_variable else wanted


def _meets(condition, context):
    return all(
        CONDITIONS[operator](_resolved(wanted, context), context.get(key))
        for operator, keys in condition.items()
        for key, wanted in keys.items()
    )


def allows(policy: Mapping[str, Any], asked: Asked) -> bool:
    """Whether some statement allows it and none denies it."""
    effects = {
        statement["Effect"]
        for statement in policy["Statement"]
        if _any([word.lower() for word in _words(statement["Action"])], asked.action.lower())
        and _any(statement["Resource"], asked.resource)
        and _meets(statement.get("Condition", {}), asked.context)
    }
    return effects == {"Allow"}


def s3(path):
    return f"arn:aws:s3:::{path}"


def sqs(queue):
    return f"arn:aws:sqs:{PLACE}:{ACCOUNT}:{queue}"


def ec2(path):
    return f"arn:aws:ec2:{PLACE}:{ACCOUNT}:{path}"


def group(name):
    return f"arn:aws:autoscaling:{PLACE}:{ACCOUNT}:autoScalingGroup:11-22:autoScalingGroupName/{name}"


def _object(action):
    return lambda call, tags: [Asked(action, s3(f"{call['Bucket']}/{call['Key']}"), OWNED)]


def _put(call, tags):
    context = {"s3:if-none-match": call["IfNoneMatch"]} if "IfNoneMatch" in call else {}
    return [Asked("s3:PutObject", s3(f"{call['Bucket']}/{call['Key']}"), {**OWNED, **context})]


def _copy(call, tags):
    source = call["CopySource"]
    return [
        Asked("s3:GetObject", s3(f"{source['Bucket']}/{source['Key']}"), OWNED),
        Asked("s3:PutObject", s3(f"{call['Bucket']}/{call['Key']}"), OWNED),
    ]


def _queue(action):
    def asked(call, tags):
        return [Asked(action, sqs(call.get("QueueName") or call["QueueUrl"].rpartition("/")[2]), OWNED)]

    return asked


def _everything(action):
    return lambda call, tags: [Asked(action)]


DISK = {"Ebs": {"VolumeSize": 16, "VolumeType": "gp3"}}
"""The template's, where a call names none."""


INSTANCE_KEYS = {"Tenancy": "ec2:Tenancy", "HttpTokens": "ec2:MetadataHttpTokens"}
VOLUME_KEYS = {
    "VolumeSize": "ec2:VolumeSize",
    "VolumeType": "ec2:VolumeType",
    "Iops": "ec2:VolumeIops",
    "Throughput": "ec2:VolumeThroughput",
}
"""Of a parameter of RunInstances, the condition key that it fills."""


def _filled(keys, parameters):
    return {key: str(parameters[name]) for name, key in keys.items() if name in parameters}


def _launch(call, tags):
    """RunInstances asks for everything that takes part; what the template names is believed to be tagged as it is."""
    template, ours = ec2("launch-template/lt-1"), _tagged(tags)
    given = {
        f"aws:RequestTag/{tag['Key']}": tag["Value"]
        for specification in call.get("TagSpecifications", [])
        for tag in specification["Tags"]
    }
    instance = {**given, "ec2:InstanceType": call.get("InstanceType", "c7i.large")}
    if "LaunchTemplate" in call:
        instance["ec2:LaunchTemplate"] = template
    instance |= _filled(INSTANCE_KEYS, {**call.get("Placement", {}), **call.get("MetadataOptions", {})})
    asked = [Asked("ec2:RunInstances", ec2("instance/*"), instance)]
    asked += [Asked("ec2:RunInstances", template, ours)] if "LaunchTemplate" in call else []
    asked += [Asked("ec2:RunInstances", ec2("subnet/subnet-1"), ours)]
    for resource, instead in ((ec2("security-group/sg-1"), "SecurityGroupIds"), (IMAGE, "ImageId")):
        named = str("LaunchTemplate" in call and instead not in call).lower()
        asked += [Asked("ec2:RunInstances", resource, {**ours, "ec2:IsLaunchTemplateResource": named})]
    asked += [Asked("ec2:RunInstances", ec2("network-interface/*"), given)]
    for disk in call.get("BlockDeviceMappings", [DISK]):
        volume = _filled(VOLUME_KEYS, disk["Ebs"])
        asked += [Asked("ec2:RunInstances", ec2("volume/*"), {**given, **volume})]
    if "InstanceMarketOptions" in call:
        asked += [Asked("ec2:RunInstances", ec2("spot-instances-request/*"))]
    role = f"arn:aws:iam::{ACCOUNT}:role/{next(iter(tags.values()), '')}-worker"
    return [
        *asked,
        Asked("ec2:CreateTags", ec2("instance/*"), {**given, "ec2:CreateAction": "RunInstances"}),
        Asked("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"}),
    ]


def _tagged(tags):
    return {f"aws:ResourceTag/{name}": value for name, value in tags.items()}


def _tag(call, tags):
    context = {**_tagged(tags), "aws:TagKeys": [tag["Key"] for tag in call["Tags"]]}
    return [Asked("ec2:CreateTags", ec2(f"instance/{one}"), context) for one in call["Resources"]]


def _terminate(call, tags):
    return [Asked("ec2:TerminateInstances", ec2(f"instance/{one}"), _tagged(tags)) for one in call["InstanceIds"]]


def _group(action):
    """A member's group is believed to be the deployment's."""
    own = "{}-workers".format
    return lambda call, tags: [
        Asked(action, group(call.get("AutoScalingGroupName") or own(next(iter(tags.values()), ""))))
    ]


GROUP_KEYS = {
    "MaxSize": "autoscaling:MaxSize",
    "MinSize": "autoscaling:MinSize",
    "LaunchConfigurationName": "autoscaling:LaunchConfigurationName",
    "LaunchTemplate": "autoscaling:LaunchTemplateVersionSpecified",
    "MixedInstancesPolicy": "autoscaling:InstanceTypes",
    "VPCZoneIdentifier": "autoscaling:VPCZoneIdentifiers",
    "CapacityReservationSpecification": "autoscaling:CapacityReservationIds",
}
"""Of a parameter of UpdateAutoScalingGroup, the condition key that it fills."""


def _update_group(call, tags):
    (asked,) = _group("autoscaling:UpdateAutoScalingGroup")(call, tags)
    return [asked._replace(context={key: call[name] for name, key in GROUP_KEYS.items() if name in call})]


def _publish(call, tags):
    return [Asked("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": call["Namespace"]})]


CALLS = {
    "PutObject": _put,
    "GetObject": _object("s3:GetObject"),
    "DeleteObject": _object("s3:DeleteObject"),
    "CopyObject": _copy,
    "ListObjectsV2": lambda call, tags: [Asked("s3:ListBucket", s3(call["Bucket"]), OWNED)],
    "SendMessage": _queue("sqs:SendMessage"),
    "SendMessageBatch": _queue("sqs:SendMessage"),
    "ReceiveMessage": _queue("sqs:ReceiveMessage"),
    "DeleteMessageBatch": _queue("sqs:DeleteMessage"),
    "ChangeMessageVisibilityBatch": _queue("sqs:ChangeMessageVisibility"),
    "GetQueueAttributes": _queue("sqs:GetQueueAttributes"),
    "GetQueueUrl": _queue("sqs:GetQueueUrl"),
    "CreateQueue": _queue("sqs:CreateQueue"),
    "SetQueueAttributes": _queue("sqs:SetQueueAttributes"),
    "TagQueue": _queue("sqs:TagQueue"),
    "ListQueueTags": _queue("sqs:ListQueueTags"),
    "DeleteQueue": _queue("sqs:DeleteQueue"),
    "ListQueues": _everything("sqs:ListQueues"),
    "DescribeInstances": _everything("ec2:DescribeInstances"),
    "DescribeLaunchTemplateVersions": _everything("ec2:DescribeLaunchTemplateVersions"),
    "RunInstances": _launch,
    "CreateTags": _tag,
    "TerminateInstances": _terminate,
    "DescribeAutoScalingGroups": _everything("autoscaling:DescribeAutoScalingGroups"),
    "DescribeScalingActivities": _everything("autoscaling:DescribeScalingActivities"),
    "SetDesiredCapacity": _group("autoscaling:SetDesiredCapacity"),
    "UpdateAutoScalingGroup": _update_group,
    "TerminateInstanceInAutoScalingGroup": _group("autoscaling:TerminateInstanceInAutoScalingGroup"),
    "CompleteLifecycleAction": _group("autoscaling:CompleteLifecycleAction"),
    "PutMetricData": _publish,
    "GetMetricData": _everything("cloudwatch:GetMetricData"),
}
"""Of each operation, what IAM is asked, from the call's parameters and the tags of the resources that it is about."""


def questions(operation: str, call: Mapping[str, Any], tags: Mapping[str, str] = {}) -> Sequence[Asked]:
    """``tags``: of the resources of EC2 that the call is about."""
    return CALLS[operation](call, tags)
