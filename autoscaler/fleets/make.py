"""The fleet that the settings name, with real clients of AWS."""

from autoscaler.fleets import Fleet
from autoscaler.fleets.alarms import AlarmsFleet
from autoscaler.fleets.asg import AsgFleet
from autoscaler.fleets.ec2 import Ec2Fleet, places
from skylens.aws import Aws
from skylens.clock import Clock
from skylens.cloudwatch import AwsCloudWatch
from skylens.groups import AsgGroup
from skylens.instances import Ec2Instances
from skylens.settings import ScalerSettings


def make(settings: ScalerSettings, aws: Aws, call_seconds: float, user_data: str, clock: Clock) -> Fleet:
    """``call_seconds``: longest that one call of AWS may take.

    ``user_data``: what workers start with besides the launch template's own; a group launches with the template's own
    alone, so there it has to say everything.
    """
    instances = Ec2Instances(aws.ec2(call_seconds), settings.deployment, settings.template(), user_data)
    if settings.fleet == "ec2":
        return Ec2Fleet(instances, places(settings.instance_types, settings.subnets, spot=settings.spot), clock)
    group = AsgGroup(aws.autoscaling(call_seconds), settings.workers_group())
    if settings.fleet == "asg":
        return AsgFleet(instances, group, clock)
    cloudwatch = AwsCloudWatch(aws.cloudwatch(call_seconds), settings.deployment, clock)
    return AlarmsFleet(instances, group, cloudwatch, clock)
