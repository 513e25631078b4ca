"""The workers' Auto Scaling group and what AWS is to do with it, as the playbooks make them in production."""

from typing import TYPE_CHECKING, Any

from skylens.alarms import Alarm, Policy, Scaling, Step
from skylens.instances import DEPLOYMENT_TAG
from skylens.local.clients import Clients
from skylens.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient

SUSPENDED = ("AZRebalance", "AlarmNotification", "ReplaceUnhealthy")
"""What a group of the fleet ``asg`` must not do by itself."""


def create(clients: Clients, name: str, settings: Settings, maximum: int, scaling: Scaling | None) -> None:
    """Make an empty group. ``scaling``: what AWS is to do with it (fleet ``alarms``); None: nothing (fleet ``asg``)."""
    client = clients.autoscaling()
    client.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateName": f"{settings.deployment}-worker", "Version": "$Default"},
        MinSize=0,
        MaxSize=maximum,
        AvailabilityZones=[f"{settings.region}a"],
        NewInstancesProtectedFromScaleIn=scaling is None,
        Tags=[{"Key": DEPLOYMENT_TAG, "Value": settings.deployment, "PropagateAtLaunch": True}],
    )
    suspended = scaling.suspended_processes if scaling else SUSPENDED
    client.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=list(suspended))
    if scaling:
        _declare(client, clients.cloudwatch(), name, scaling)


def _declare(client: "AutoScalingClient", cloudwatch: "CloudWatchClient", group: str, scaling: Scaling) -> None:
    """The termination hook, the step policies, and the alarms with these as their actions."""
    hook = scaling.lifecycle_hook
    client.put_lifecycle_hook(
        AutoScalingGroupName=group,
        LifecycleHookName=hook.lifecycle_hook_name,
        LifecycleTransition=hook.transition,
        HeartbeatTimeout=hook.heartbeat_timeout,
        DefaultResult=hook.default_result,
    )
    for policy in scaling.policies:
        _policy(client, group, policy)
    found = client.describe_policies(AutoScalingGroupName=group)["ScalingPolicies"]
    arns = {policy["PolicyName"]: policy["PolicyARN"] for policy in found}
    for alarm in scaling.alarms:
        _alarm(cloudwatch, alarm, arns[alarm.policy])


def _policy(client: "AutoScalingClient", group: str, policy: Policy) -> None:
    least = {"MinAdjustmentMagnitude": policy.min_adjustment_step} if policy.min_adjustment_step else {}
    options: dict[str, Any] = {"StepAdjustments": [_step(step) for step in policy.step_adjustments], **least}
    client.put_scaling_policy(
        AutoScalingGroupName=group,
        PolicyName=policy.name,
        PolicyType=policy.policy_type,
        AdjustmentType=policy.adjustment_type,
        MetricAggregationType=policy.metric_aggregation,
        EstimatedInstanceWarmup=policy.estimated_instance_warmup,
        **options,
    )


def _step(step: Step) -> dict[str, float]:
    bounds = {"MetricIntervalLowerBound": step.lower_bound, "MetricIntervalUpperBound": step.upper_bound}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"ScalingAdjustment": step.scaling_adjustment, **given}


def _alarm(client: "CloudWatchClient", alarm: Alarm, action: str) -> None:
    client.put_metric_alarm(
        AlarmName=alarm.name,
        AlarmDescription=alarm.description,
        AlarmActions=[action],
        Namespace=alarm.namespace,
        MetricName=alarm.metric_name,
        Dimensions=[{"Name": name, "Value": value} for name, value in alarm.dimensions.items()],
        Statistic=alarm.statistic,
        ComparisonOperator=alarm.comparison,
        Threshold=alarm.threshold,
        Period=alarm.period,
        EvaluationPeriods=alarm.evaluation_periods,
        DatapointsToAlarm=alarm.datapoints_to_alarm,
        TreatMissingData=alarm.treat_missing_data,
    )
