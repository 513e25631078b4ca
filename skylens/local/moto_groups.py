"""moto's Auto Scaling groups, put right where they would hide what an autoscaler has to cope with.

- A termination hook acts: a member that is to go waits as ``Terminating:Wait`` until CompleteLifecycleAction, which
  moto lacks. (moto: it is terminated at once.)
- While ReplaceUnhealthy is suspended, a member that ends stays one, as unhealthy, and none takes its place. (moto: one
  is launched at once.)
- To terminate an unknown member is a ValidationError. (moto: the server fails.)
"""

from collections.abc import Iterable
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError
from moto.autoscaling.models import (
    AutoScalingBackend,
    FakeAutoScalingGroup,
    InstanceState,
    TerminateInstanceActivity,
)
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import EmptyResult

WAITING = "Terminating:Wait"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


def set_desired_capacity(group: FakeAutoScalingGroup, wanted: int | None) -> None:
    """Launch what lacks; of too many let the oldest unprotected go. All have the same template, so AWS picks any."""
    group.desired_capacity = (group.min_size if wanted is None else wanted) or 0
    change = group.desired_capacity - len(group.active_instances())
    if change > 0:
        group.replace_autoscaling_group_instances(change, group.get_propagated_tags())
    unprotected = [member for member in group.active_instances() if not member.protected_from_scale_in]
    for member in unprotected[: max(0, -change)]:
        _retire(group, member)


def terminate_instance(
    backend: AutoScalingBackend,
    instance_id: str,
    should_decrement: bool,
) -> TerminateInstanceActivity:
    group, member = _find(backend, instance_id)
    before = group.desired_capacity or 0
    if member.lifecycle_state == "InService":
        _retire(group, member)
        set_desired_capacity(group, before - should_decrement)
    return TerminateInstanceActivity(member.instance, before)


def complete_lifecycle_action(response: AutoScalingResponse) -> EmptyResult:
    """CompleteLifecycleAction: whatever its result, a member that waits for its end is terminated."""
    backend, one = response.autoscaling_backend, response._get_param("InstanceId")  # noqa: SLF001 - moto's own way
    group, member = _find(backend, one)
    if member.lifecycle_state != WAITING:
        raise AutoscalingClientError("ValidationError", f"No active Lifecycle Action found with instance ID {one}")
    _end(group, member)
    return EmptyResult()


def notify_terminate_instances(backend: AutoScalingBackend, instance_ids: Iterable[str]) -> None:
    """EC2 ended some instances."""
    for group in backend.autoscaling_groups.values():
        ended = [member for member in group.instance_states if member.instance_id in instance_ids]
        for member in ended:
            member.health_status = "Unhealthy"
        if "ReplaceUnhealthy" not in [process["ProcessName"] for process in group.suspended_processes]:
            group.instance_states = [member for member in group.instance_states if member not in ended]
            set_desired_capacity(group, group.desired_capacity)


def install() -> None:
    """Replace moto's own."""
    for owner, name, mine in REPLACED:
        setattr(owner, name, mine)


REPLACED: tuple[tuple[type, str, Any], ...] = (
    (FakeAutoScalingGroup, "set_desired_capacity", set_desired_capacity),
    (AutoScalingBackend, "terminate_instance", terminate_instance),
    (AutoScalingBackend, "notify_terminate_instances", notify_terminate_instances),
    (AutoScalingResponse, "complete_lifecycle_action", complete_lifecycle_action),
)


def _find(backend: AutoScalingBackend, one: str) -> tuple[FakeAutoScalingGroup, InstanceState]:
    for group in backend.autoscaling_groups.values():
        for member in group.instance_states:
            if member.instance_id == one:
                return group, member
    raise AutoscalingClientError(
        "ValidationError", f"Instance Id not found - No managed instance found for instance ID: {one}"
    )


def _retire(group: FakeAutoScalingGroup, member: InstanceState) -> None:
    hooks = group.autoscaling_backend.describe_lifecycle_hooks(group.name)
    if any(hook.lifecycle_transition == TERMINATING for hook in hooks):
        member.lifecycle_state = WAITING
    else:
        _end(group, member)


def _end(group: FakeAutoScalingGroup, member: InstanceState) -> None:
    group.instance_states.remove(member)
    group.ec2_backend.terminate_instances([member.instance_id])
