"""Ansible module: everything of one deployment in AWS, found by its tag, or by its name and then asked for its tag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import ClientError

DOCUMENTATION = """
module: deployment_census
short_description: Everything of one deployment in AWS
description:
  - Only what carries the deployment's tag is C(found), by kind.
  - What has one of its names but not its tag is C(foreign), as sentences, and not to be deleted.
  - What of it cannot be ours is C(taken), as the same sentences. A play that was cut off may leave a queue, a bucket or
    a launch template without tags, and with nothing in it; all else gets its tags as it is made.
options:
  deployment: {description: Value of the tag., type: str, required: true}
  tag: {description: Key of the tag., type: str, required: true}
  names:
    description: Names to look for, by kind, of what cannot be searched by tag.
    type: dict
    required: true
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules]
author: [Skylens]
"""
EC2 = {  # kind: operation, the answer's list, what identifies one
    "instances": ("describe_instances", "Reservations[].Instances[]", "InstanceId"),
    "images": ("describe_images", "Images", "ImageId"),
    "snapshots": ("describe_snapshots", "Snapshots", "SnapshotId"),
    "volumes": ("describe_volumes", "Volumes", "VolumeId"),
    "templates": ("describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    "endpoints": ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    "security_groups": ("describe_security_groups", "SecurityGroups", "GroupId"),
    "subnets": ("describe_subnets", "Subnets", "SubnetId"),
    "route_tables": ("describe_route_tables", "RouteTables", "RouteTableId"),
    "gateways": ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "vpcs": ("describe_vpcs", "Vpcs", "VpcId"),
}
OWN = {"images": {"Owners": ["self"]}, "snapshots": {"OwnerIds": ["self"]}}
GONE = {
    *("NoSuchBucket", "NoSuchEntity", "ValidationError", "ResourceNotFoundException", "404"),
    "InvalidLaunchTemplateName.NotFoundException",
    *("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"),
}
UNTAGGED = {"NoSuchTagSet", "AccessDenied", "403"}
TAGGED_LATER = {"queues", "buckets", "templates"}
OVER = {"terminated", "deleted", "deleting", "shutting-down", "in-use"}
"""States of what ends without us: a volume in use ends with its instance."""

Tags = dict[str, str]
Entry = dict[str, Any]


class Census:
    def __init__(self, client: Callable[[str], Any], tag: str, deployment: str) -> None:
        self._client, self._tag, self._deployment = client, tag, deployment
        self.found: dict[str, list[Entry]] = {}
        self.foreign: list[str] = []
        self.taken: list[str] = []

    def take(self, names: dict[str, list[str]]) -> None:
        for kind in EC2:
            self.found[kind] = sorted(self._ec2(kind), key=lambda entry: (entry["name"], entry["id"]))
        for kind, wanted in names.items():
            look = getattr(self, f"_{kind}")
            own = [entry for name in wanted for entry in self._own(kind, name, look)]
            self.found.setdefault(kind, own)

    def _own(self, kind: str, name: str, look: Callable[[str], Iterable[tuple[str, Tags]]]) -> Iterator[Entry]:
        """``look`` yields what goes by that name, with its tags."""
        try:
            for one, tags in look(name):
                if tags.get(self._tag) == self._deployment:
                    yield {"id": one, "name": one}
                elif one == name:
                    told = f"{kind}: {one} has the name but not the tag {self._tag}={self._deployment}"
                    self.foreign.append(told)
                    if tags or kind not in TAGGED_LATER or self._is_used(kind, one):
                        self.taken.append(told)
        except ClientError as error:
            if error.response["Error"]["Code"] not in GONE:
                raise

    def _ec2(self, kind: str) -> Iterator[Entry]:
        operation, where, identifier = EC2[kind]
        client = self._client("ec2")
        pages = client.get_paginator(operation).paginate(
            Filters=[{"Name": f"tag:{self._tag}", "Values": [self._deployment]}], **OWN.get(kind, {})
        )
        for found in pages.search(where if where.endswith("[]") else f"{where}[]"):
            tags = _tags(found.get("Tags", []))
            state = found.get("State", "")
            if (state["Name"] if isinstance(state, dict) else state) in OVER or tags.get(self._tag) != self._deployment:
                continue
            name = tags.get("Name", "") or found.get("GroupName", "") or found.get("LaunchTemplateName", "")
            more = {"vpc": found.get("VpcId", ""), "cidr": found.get("CidrBlock", "")}
            yield {"id": found[identifier], "name": name, **more}

    def _is_used(self, kind: str, name: str) -> bool:
        """Whether something is in it."""
        if kind == "buckets":
            held = self._client("s3").list_object_versions(Bucket=name, MaxKeys=1)
            return bool(held.get("Versions") or held.get("DeleteMarkers"))
        if kind == "queues":
            client, counts = (
                self._client("sqs"),
                ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )
            url = client.get_queue_url(QueueName=name)["QueueUrl"]
            held = client.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
            return any(int(held[count]) for count in counts)
        return False

    def _templates(self, name: str) -> Iterator[tuple[str, Tags]]:
        for found in self._client("ec2").describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"]:
            yield name, _tags(found.get("Tags"))

    def _vpcs(self, name: str) -> Iterator[tuple[str, Tags]]:
        for found in self._client("ec2").describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [name]}])["Vpcs"]:
            yield name, _tags(found["Tags"])

    def _groups(self, name: str) -> Iterator[tuple[str, Tags]]:
        answer = self._client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        for group in answer["AutoScalingGroups"]:
            yield name, _tags(group["Tags"])

    def _alarms(self, name: str) -> Iterator[tuple[str, Tags]]:
        """An alarm says whose it is by its dimension: Ansible's module gives it no tags."""
        for alarm in self._client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]:
            dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
            yield name, {self._tag: dimensions.get("Deployment", "")}

    def _queues(self, name: str) -> Iterator[tuple[str, Tags]]:
        """The queue; of a name that ends with a hyphen, each queue that begins so."""
        client = self._client("sqs")
        for page in client.get_paginator("list_queues").paginate(QueueNamePrefix=name):
            for url in page.get("QueueUrls", []):
                one = url.rpartition("/")[2]
                if one == name or name.endswith("-"):
                    yield one, client.list_queue_tags(QueueUrl=url).get("Tags", {})

    def _buckets(self, name: str) -> Iterator[tuple[str, Tags]]:
        try:
            yield name, _tags(self._client("s3").get_bucket_tagging(Bucket=name)["TagSet"])
        except ClientError as error:
            if error.response["Error"]["Code"] not in UNTAGGED:
                raise
            yield name, {}

    def _profiles(self, name: str) -> Iterator[tuple[str, Tags]]:
        yield (
            name,
            _tags(self._client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"].get("Tags")),
        )

    def _roles(self, name: str) -> Iterator[tuple[str, Tags]]:
        yield name, _tags(self._client("iam").list_role_tags(RoleName=name)["Tags"])

    def _users(self, name: str) -> Iterator[tuple[str, Tags]]:
        yield name, _tags(self._client("iam").list_user_tags(UserName=name)["Tags"])

    def _policies(self, name: str) -> Iterator[tuple[str, Tags]]:
        caller = self._client("sts").get_caller_identity()
        arn = f"arn:{caller['Arn'].split(':')[1]}:iam::{caller['Account']}:policy/{name}"
        yield name, _tags(self._client("iam").list_policy_tags(PolicyArn=arn)["Tags"])

    def _stacks(self, name: str) -> Iterator[tuple[str, Tags]]:
        for stack in self._client("cloudformation").describe_stacks(StackName=name)["Stacks"]:
            if stack["StackStatus"] != "DELETE_COMPLETE":
                yield name, _tags(stack.get("Tags"))

    def _log_groups(self, name: str) -> Iterator[tuple[str, Tags]]:
        yield name, self._client("logs").list_tags_log_group(logGroupName=name)["tags"]


def _tags(pairs: list[dict[str, str]] | None) -> Tags:
    return {pair["Key"]: pair["Value"] for pair in pairs or []}


def main() -> None:
    options = {
        "deployment": {"type": "str", "required": True},
        "tag": {"type": "str", "required": True},
        "names": {"type": "dict", "required": True},
    }
    module = AnsibleAWSModule(argument_spec=options, supports_check_mode=True)
    clients: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in clients:
            clients[service] = module.client(service)
        return clients[service]

    census = Census(client, module.params["tag"], module.params["deployment"])
    try:
        census.take(module.params["names"])
    except ClientError as error:
        module.fail_json_aws(error, msg="What there is of the deployment cannot be told")
    count = sum(map(len, census.found.values()))
    module.exit_json(changed=False, found=census.found, foreign=census.foreign, taken=census.taken, count=count)


if __name__ == "__main__":
    main()
