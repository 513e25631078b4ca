"""The EC2 instances of one deployment, behind a narrow protocol."""

import base64
from collections.abc import Collection
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
MOST_VALUES = 200
"""How many values EC2 takes in one filter."""


class Instance(NamedTuple):
    """``state``: EC2's own word; ``launched``: Unix seconds; ``draining``: tagged to leave."""

    id: str
    state: str
    launched: float
    draining: bool


class Instances(Protocol):
    def all(self, expected: Collection[str] = ()) -> list[Instance]:
        """Each instance of the deployment that is not terminated, and of ``expected`` each that EC2 knows.

        Only ``expected`` ones are shown as ``terminated``. EC2 knows them for about an hour, and may for a while not
        show one that is alive: to be missing is not to be gone.
        """
        ...

    def user_data(self) -> str:
        """What ``launch`` is to start the workers with; empty for the launch template's own."""
        ...

    def launch(self, count: int, token: str, subnet: str = "", user_data: str = "") -> list[str]:
        """Launch up to ``count``; the ids of those that EC2 gave. One call of EC2.

        The same ``token`` never launches twice; whoever repeats it must repeat all of it.
        """
        ...

    def drain(self, ids: list[str]) -> None:
        """Tag instances as draining; their workers finish, answer and leave. Those that are gone are passed over."""
        ...

    def terminate(self, one: str) -> None:
        """End an instance; one that is gone is passed over."""
        ...


class Ec2Instances:
    """The real thing: launches from a launch template, finds its own by tag."""

    def __init__(self, client: "EC2Client", deployment: str, template: str, user_data: str = "") -> None:
        """``user_data``: ``SKYLENS_NAME=value`` lines that each worker starts with, after the template's own."""
        self._client, self._deployment, self._template = client, deployment, template
        self._user_data = user_data

    def all(self, expected: Collection[str] = ()) -> list[Instance]:
        """Those missing are asked for by id: a terminated instance soon loses the tags that it was found by."""
        own = {f"tag:{DEPLOYMENT_TAG}": [self._deployment], "instance-state-name": list(ALIVE)}
        shown = self._find(own)
        missing = sorted(set(expected) - {one.id for one in shown})
        for start in range(0, len(missing), MOST_VALUES):
            shown += self._find({"instance-id": missing[start : start + MOST_VALUES]})
        return shown

    def _find(self, filters: dict[str, list[str]]) -> list[Instance]:
        pages = self._client.get_paginator("describe_instances").paginate(
            Filters=[{"Name": name, "Values": values} for name, values in filters.items()]
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

    def user_data(self) -> str:
        """The template's own come first: user-data given at launch replace them as a whole."""
        return f"{self._template_user_data().rstrip()}\n{self._user_data}" if self._user_data else ""

    def launch(self, count: int, token: str, subnet: str = "", user_data: str = "") -> list[str]:
        options: dict[str, Any] = {"SubnetId": subnet} if subnet else {}
        if user_data:
            options["UserData"] = user_data
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

    def terminate(self, one: str) -> None:
        try:
            self._client.terminate_instances(InstanceIds=[one])
        except ClientError as error:
            if not is_gone(error):
                raise
