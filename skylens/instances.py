"""The EC2 instances of one deployment, behind a narrow protocol."""

import base64
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from botocore.exceptions import ClientError

from skylens.aws_errors import is_gone

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import DescribeInstancesResultTypeDef, InstanceTypeDef

DEPLOYMENT_TAG = "skylens:deployment"
STATE_TAG = "skylens:state"
TIER_TAG, BUILDER = "skylens:tier", "builder"
"""What ``bake.yml`` makes an image from: an instance of the deployment, and no worker. Workers have no such tag."""
DRAINING = "draining"
RESIDENT = "resident"
"""What the state tag may say: to leave, or never to leave for being idle."""
ALIVE = ("pending", "running", "shutting-down", "stopping", "stopped")
"""Every EC2 state but ``terminated``: these all count against the maximum."""
PAGE = 50
"""Instances read in one step of a sweep."""
MOST_VALUES = 200
"""How many values EC2 takes in one filter."""


class Place(NamedTuple):
    """Where, and as what, to launch; an empty ``type`` or ``subnet`` leaves that to the launch template and to EC2."""

    type: str = ""
    subnet: str = ""
    spot: bool = False

    def __str__(self) -> str:
        """In words: ``spot c7i.large in subnet-a``."""
        kind = self.type or "the template's type"
        return f"{'spot ' if self.spot else ''}{kind} in {self.subnet or 'any subnet'}"


ANYWHERE = Place()


class Instance(NamedTuple):
    """``state``: EC2's own word; ``launched``: Unix seconds; ``draining``, ``resident``: tagged so."""

    id: str
    state: str
    launched: float
    draining: bool
    resident: bool = False
    type: str = ""
    spot: bool = False


class Instances(Protocol):
    def all(self, expected: Collection[str] = ()) -> list[Instance]:
        """Each instance of the deployment that is not terminated, and of ``expected`` each that EC2 knows.

        Only ``expected`` ones are shown as ``terminated``. EC2 knows them for about an hour, and may for a while not
        show one that is alive: to be missing is not to be gone.
        """
        ...

    def sweep(self, expected: Collection[str] = ()) -> list[Instance] | None:
        """What ``all`` tells, in small steps: None until the call that completes it; the next one begins anew."""
        ...

    def user_data(self) -> str:
        """What ``launch`` is to start the workers with; empty for the launch template's own."""
        ...

    def launch(self, count: int, token: str, place: Place = ANYWHERE, user_data: str = "") -> list[str]:
        """Launch up to ``count``; the ids of those that EC2 gave. One call of EC2.

        The same ``token`` never launches twice; whoever repeats it must repeat all of it.
        """
        ...

    def drain(self, ids: list[str]) -> None:
        """Tag instances as draining; their workers finish, answer and leave. Those that are gone are passed over."""
        ...

    def settle_in(self, one: str) -> None:
        """Tag an instance as resident: its worker never leaves for being idle. One that is gone is passed over."""
        ...

    def terminate(self, one: str) -> None:
        """End an instance; one that is gone is passed over."""
        ...


class Ec2Instances:
    """The real thing: launches from a launch template, finds its own by tag. ``bake.yml``'s builder is none of them."""

    def __init__(self, client: "EC2Client", deployment: str, template: str, user_data: str = "") -> None:
        """``user_data``: ``SKYLENS_NAME=value`` lines that each worker starts with, after the template's own."""
        self._client, self._deployment, self._template = client, deployment, template
        self._user_data = user_data
        self._swept: list[Instance] = []
        self._pages: Iterator[DescribeInstancesResultTypeDef] | None = None

    def all(self, expected: Collection[str] = ()) -> list[Instance]:
        """Those missing are asked for by id: a terminated instance soon loses the tags that it was found by."""
        self._pages = None
        return self._complete([one for page in self._own() for one in _instances(page)], expected)

    def sweep(self, expected: Collection[str] = ()) -> list[Instance] | None:
        """One page of EC2's answer a call: to read a thousand instances takes 0.4 s of CPU. An error begins it anew."""
        if self._pages is None:
            self._pages, self._swept = self._own(PAGE), []
        pages, self._pages = self._pages, None
        page = next(pages)
        self._swept += _instances(page)
        if page.get("NextToken"):
            self._pages = pages
            return None
        return self._complete(self._swept, expected)

    def _own(self, size: int | None = None) -> Iterator["DescribeInstancesResultTypeDef"]:
        return self._find({f"tag:{DEPLOYMENT_TAG}": [self._deployment], "instance-state-name": list(ALIVE)}, size)

    def _complete(self, shown: list[Instance], expected: Collection[str]) -> list[Instance]:
        missing = sorted(set(expected) - {one.id for one in shown})
        for start in range(0, len(missing), MOST_VALUES):
            for page in self._find({"instance-id": missing[start : start + MOST_VALUES]}):
                shown += _instances(page)
        return shown

    def _find(
        self, filters: dict[str, list[str]], size: int | None = None
    ) -> Iterator["DescribeInstancesResultTypeDef"]:
        """Page by page, each asked for when it is taken; ``size``: most instances of one page."""
        return iter(
            self._client.get_paginator("describe_instances").paginate(
                Filters=[{"Name": name, "Values": values} for name, values in filters.items()],
                PaginationConfig={"PageSize": size} if size else {},
            )
        )

    def user_data(self) -> str:
        """The template's own come first: user-data given at launch replace them as a whole."""
        return f"{self._template_user_data().rstrip()}\n{self._user_data}" if self._user_data else ""

    def launch(self, count: int, token: str, place: Place = ANYWHERE, user_data: str = "") -> list[str]:
        options: dict[str, Any] = {
            name: value
            for name, value in (("SubnetId", place.subnet), ("InstanceType", place.type), ("UserData", user_data))
            if value
        }
        if place.spot:
            options["InstanceMarketOptions"] = {"MarketType": "spot"}
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

    def settle_in(self, one: str) -> None:
        try:
            self._client.create_tags(Resources=[one], Tags=[{"Key": STATE_TAG, "Value": RESIDENT}])
        except ClientError as error:
            if not is_gone(error):
                raise

    def terminate(self, one: str) -> None:
        try:
            self._client.terminate_instances(InstanceIds=[one])
        except ClientError as error:
            if not is_gone(error):
                raise


def _tag(found: "InstanceTypeDef", key: str) -> str:
    return next((tag["Value"] for tag in found.get("Tags", []) if tag["Key"] == key), "")


def _instances(page: "DescribeInstancesResultTypeDef") -> list[Instance]:
    return [
        Instance(
            found["InstanceId"],
            found["State"]["Name"],
            found["LaunchTime"].timestamp(),
            _tag(found, STATE_TAG) == DRAINING,
            _tag(found, STATE_TAG) == RESIDENT,
            found.get("InstanceType", ""),
            found.get("InstanceLifecycle") == "spot",
        )
        for reservation in page["Reservations"]
        for found in reservation["Instances"]
        if _tag(found, TIER_TAG) != BUILDER
    ]
