"""One Auto Scaling group, behind a narrow protocol."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from botocore.exceptions import ClientError

from skylens.aws_errors import entry_error, is_gone, is_no_member

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

HOOK = "drain"
"""Name of the group's termination hook, if it has one: while it waits, a worker may finish."""
WAITING = "Terminating:Wait"
_LEFT = ("Terminating", "Terminated", "Detaching", "Detached")
_RECENT = 20
"""How many scaling activities are looked at."""


class GroupView(NamedTuple):
    """``members``: instance id -> lifecycle state in AWS's words (``Pending``, ``InService``, ``Terminating:Wait``).

    ``desired`` counts members that are to stay and those that are still to come.
    """

    desired: int
    maximum: int
    members: dict[str, str]

    @property
    def staying(self) -> frozenset[str]:
        """The members that ``desired`` counts, whatever EC2 says of them."""
        return frozenset(one for one, state in self.members.items() if state.partition(":")[0] not in _LEFT)

    @property
    def coming(self) -> int:
        """How many the group is still to launch."""
        return max(0, self.desired - len(self.staying))

    def without(self, one: str) -> "GroupView":
        """As it is once a staying member was removed."""
        members = {other: state for other, state in self.members.items() if other != one}
        return self._replace(desired=self.desired - 1, members=members)


class Group(Protocol):
    """Calls raise what boto3 raises."""

    def view(self) -> GroupView: ...

    def resize(self, desired: int) -> None:
        """Set the desired capacity, whatever a cooldown says."""
        ...

    def limit(self, maximum: int, desired: int) -> None:
        """Set the largest desired capacity that anybody, AWS's alarms included, may set, and keep the present one.

        Without ``desired`` AWS would set that to the maximum where there are more members, those that leave included.
        """
        ...

    def remove(self, one: str) -> None:
        """Terminate a member and want one fewer; one that is gone is passed over."""
        ...

    def complete(self, one: str) -> None:
        """Let a member that waits in the termination hook go; one that does not wait is passed over."""
        ...

    def refusal(self, since: float) -> str:
        """Why the latest of the launches begun after ``since`` failed, in AWS's words; empty when it did not.

        ``since``: Unix seconds.
        """
        ...


class AsgGroup:
    """The real thing."""

    def __init__(self, client: "AutoScalingClient", name: str) -> None:
        self._client, self._name = client, name

    def view(self) -> GroupView:
        groups = self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[self._name])["AutoScalingGroups"]
        if not groups:
            raise entry_error("DescribeAutoScalingGroups", "NotFound", f"no group {self._name}", ours=True)
        members: dict[str, str] = {
            member["InstanceId"]: member["LifecycleState"] for member in groups[0].get("Instances", [])
        }
        return GroupView(groups[0]["DesiredCapacity"], groups[0]["MaxSize"], members)

    def resize(self, desired: int) -> None:
        self._client.set_desired_capacity(AutoScalingGroupName=self._name, DesiredCapacity=desired, HonorCooldown=False)

    def limit(self, maximum: int, desired: int) -> None:
        self._client.update_auto_scaling_group(
            AutoScalingGroupName=self._name, MaxSize=maximum, DesiredCapacity=desired
        )

    def remove(self, one: str) -> None:
        try:
            self._client.terminate_instance_in_auto_scaling_group(InstanceId=one, ShouldDecrementDesiredCapacity=True)
        except ClientError as error:
            if not (is_gone(error) or is_no_member(error)):
                raise

    def complete(self, one: str) -> None:
        try:
            self._client.complete_lifecycle_action(
                LifecycleHookName=HOOK,
                AutoScalingGroupName=self._name,
                LifecycleActionResult="CONTINUE",
                InstanceId=one,
            )
        except ClientError as error:
            if not is_no_member(error):
                raise

    def refusal(self, since: float) -> str:
        """AWS lists what is in progress first, then the latest."""
        activities = self._client.describe_scaling_activities(AutoScalingGroupName=self._name, MaxRecords=_RECENT)
        for activity in activities["Activities"]:
            launched = activity.get("Description", "").startswith("Launching")
            if launched and activity["StartTime"].timestamp() > since and activity["StatusCode"] == "Failed":
                return activity.get("StatusMessage", "") or "a launch failed"
            if launched and activity["StatusCode"] == "Successful":
                return ""
        return ""
