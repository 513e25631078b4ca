"""The EC2 instances of one deployment, behind a narrow protocol."""

import base64
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from botocore.exceptions import ClientError

from skylens.aws_errors import is_gone

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

DEPLOYMENT_TAG = "skylens:deployment"
STATE_TAG = "skylens:state"
DRAINING = "draining"
ALIVE = ("pending", "running", "shutting-down", "stopping", "stopped")
"""Every EC2 state but ``terminated``: these all count against the maximum."""


class Instance(NamedTuple):
    """``state``: EC2's own word; ``launched``: Unix seconds; ``draining``: tagged to leave."""

    id: str
    state: str
    launched: float
    draining: bool


class Instances(Protocol):
    def all(self) -> list[Instance]:
        """Each instance of the deployment that is not terminated."""
        ...

    def launch(self, count: int, token: str, subnet: str = "") -> list[str]:
        """Launch up to ``count``; the ids of those that EC2 gave. The same ``token`` never launches twice."""
        ...

    def drain(self, ids: list[str]) -> None:
        """Tag instances as draining; their workers finish, answer and leave. Those that are gone are passed over."""
        ...

    def terminate(self, ids: list[str]) -> None: ...


class Ec2Instances:
    """The real thing: launches from a launch template, finds its own by tag."""

    def __init__(self, client: "EC2Client", deployment: str, template: str, user_data: str = "") -> None:
        """``user_data``: ``SKYLENS_NAME=value`` lines that each worker starts with, after the template's own."""
        self._client, self._deployment, self._template = client, deployment, template
        self._user_data = user_data

    def all(self) -> list[Instance]:
        pages = self._client.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [self._deployment]},
                {"Name": "instance-state-name", "Values": list(ALIVE)},
            ]
        )
        return [
            Instance(
                found["InstanceId"],
                found["State"]["Name"],
                found["LaunchTime"].timestamp(),
                any(tag["Key"] == STATE_TAG and tag["Value"] == DRAINING for tag in found.get("Tags", [])),
            )
            for page in pages
            for reservation in page["Reservations"]
            for found in reservation["Instances"]
        ]

    def launch(self, count: int, token: str, subnet: str = "") -> list[str]:
        options: dict[str, Any] = {"SubnetId": subnet} if subnet else {}
        if self._user_data:
            options["UserData"] = f"{self._template_user_data().rstrip()}\n{self._user_data}"
        answer = self._client.run_instances(
            LaunchTemplate={"LaunchTemplateName": self._template},
            MinCount=1,
            MaxCount=count,
            ClientToken=token,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": DEPLOYMENT_TAG, "Value": self._deployment}]}
            ],
            **options,
        )
        return [instance["InstanceId"] for instance in answer["Instances"]]

    def _template_user_data(self) -> str:
        """The template's own, which user-data given at launch replace as a whole."""
        versions = self._client.describe_launch_template_versions(
            LaunchTemplateName=self._template, Versions=["$Default"]
        )["LaunchTemplateVersions"]
        return base64.b64decode(versions[0]["LaunchTemplateData"].get("UserData", "")).decode()

    def drain(self, ids: list[str]) -> None:
        try:
            self._client.create_tags(Resources=ids, Tags=[{"Key": STATE_TAG, "Value": DRAINING}])
        except ClientError as error:
            if not is_gone(error):
                raise
            if len(ids) > 1:
                for one in ids:
                    self.drain([one])

    def terminate(self, ids: list[str]) -> None:
        for one in ids:
            try:
                self._client.terminate_instances(InstanceIds=[one])
            except ClientError as error:
                if not is_gone(error):
                    raise
