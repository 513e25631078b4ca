"""An emulated account as the workers' roles find it, and all that is in one."""

from aws_emulators import Deployment

FAST = {"ANSIBLE_PIPELINING": "1"}
IMAGE = {"image_id": "ami-12345678", "root_device_name": "/dev/xvda"}


class Workers(Deployment):
    """A deployment whose settings are known to be good, so that no play checks them again."""

    def __init__(self, folder, variables, name, **settings):
        super().__init__(folder, {**variables, **FAST}, name, **settings)

    def play(self, *roles, check=False, extra=None):
        return super().play(*roles, check=check, extra={"skylens_checked": True, **(extra or {})})

    def give_role(self):
        """The workers' instance profile, which another role makes."""
        iam, name = self.client("iam"), f"{self.name}-worker"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}", Tags=self.tags)
        iam.create_instance_profile(InstanceProfileName=name, Tags=self.tags)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)

    @property
    def tags(self):
        return [{"Key": "skylens:deployment", "Value": self.name}]

    def of(self, operation, kind):
        """What EC2 knows with this deployment's tag."""
        found = getattr(self.client("ec2"), operation)(
            Filters=[{"Name": "tag:skylens:deployment", "Values": [self.name]}]
        )
        return found[kind]


def inventory(client):
    """Each thing of the account that a deployment is made of, as ``kind: id``, found without a look at any tag."""
    ec2, iam = client("ec2"), client("iam")
    instances = [one for group in ec2.describe_instances()["Reservations"] for one in group["Instances"]]
    listed = {
        "instance": [one["InstanceId"] for one in instances if one["State"]["Name"] != "terminated"],
        "image": [one["ImageId"] for one in ec2.describe_images(Owners=["self"])["Images"]],
        "snapshot": [one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]],
        "volume": [one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]],
        "template": [one["LaunchTemplateName"] for one in ec2.describe_launch_templates()["LaunchTemplates"]],
        "endpoint": [
            one["VpcEndpointId"] for one in ec2.describe_vpc_endpoints()["VpcEndpoints"] if one["State"] != "deleted"
        ],
        "security group": [one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]],
        "subnet": [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]],
        "route table": [one["RouteTableId"] for one in ec2.describe_route_tables()["RouteTables"]],
        "gateway": [one["InternetGatewayId"] for one in ec2.describe_internet_gateways()["InternetGateways"]],
        "vpc": [one["VpcId"] for one in ec2.describe_vpcs()["Vpcs"]],
        "group": [
            one["AutoScalingGroupName"]
            for one in client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        ],
        "alarm": [one["AlarmName"] for one in client("cloudwatch").describe_alarms()["MetricAlarms"]],
        "queue": [url.rpartition("/")[2] for url in client("sqs").list_queues().get("QueueUrls", [])],
        "bucket": [one["Name"] for one in client("s3").list_buckets()["Buckets"]],
        "role": [one["RoleName"] for one in iam.list_roles()["Roles"]],
        "profile": [one["InstanceProfileName"] for one in iam.list_instance_profiles()["InstanceProfiles"]],
        "user": [one["UserName"] for one in iam.list_users()["Users"]],
        "policy": [one["PolicyName"] for one in iam.list_policies(Scope="Local")["Policies"]],
        "stack": [
            one["StackName"]
            for one in client("cloudformation").list_stacks()["StackSummaries"]
            if one["StackStatus"] != "DELETE_COMPLETE"
        ],
        "log group": [one["logGroupName"] for one in client("logs").describe_log_groups()["logGroups"]],
    }
    return {f"{kind}: {one}" for kind, ones in listed.items() for one in ones}
