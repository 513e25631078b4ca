"""provision.yml for both sides, killed at ten random points, against OpenStack's real APIs and AWS's emulated one."""

import random
import re

import pytest
from aws_emulators import client, emulated
from playbook import PLAYBOOKS, kill, run
from private_cloud import environment, inventory
from scenario import Deployment

pytestmark = [pytest.mark.openstack, pytest.mark.nightly, pytest.mark.timeout(3600)]
KILLS = 10


class Both:
    """A deployment ``lab`` on both sides. ``variables``: of the emulators."""

    def __init__(self, folder, variables):
        self._made = made = Deployment(folder)
        self.folder, self.aws = folder, variables
        self.variables = {
            **made.variables,
            "skylens_sides": ["aws", "openstack"],
            "skylens_budget_monthly": 100,
            "skylens_budget_email": "lab@example.org",
        }
        del self.variables["skylens_source"]
        self.environment = {**environment(), **variables}

    def play(self, name, *arguments):
        done = run(PLAYBOOKS / name, self.variables, self.environment, *arguments, folder=self.folder)
        assert done.rc == 0, done.output[-6000:]
        return done

    def revoke(self):
        """As the end of deploy.yml does: what was killed may have left a credential that nobody has."""
        done = self._made.play("revoke")
        assert done.rc == 0, done.output[-6000:]

    def killed(self, task, seconds):
        return kill(PLAYBOOKS / "provision.yml", self.environment, folder=self.folder, task=task, seconds=seconds)


def aws_side(variables):
    """What there is in AWS, without the ids that AWS gives."""
    s3, sqs, ec2, iam = (client(variables, name) for name in ("s3", "sqs", "ec2", "iam"))
    shapes = {
        "buckets": [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]],
        "queues": [url.rpartition("/")[2] for url in sqs.list_queues().get("QueueUrls", [])],
        "users": [user["UserName"] for user in iam.list_users()["Users"]],
        "keys": [
            (user["UserName"], len(iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]))
            for user in iam.list_users()["Users"]
        ],
        "roles": [role["RoleName"] for role in iam.list_roles()["Roles"]],
        "profiles": [profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]],
        "policies": [policy["PolicyName"] for policy in iam.list_policies(Scope="Local")["Policies"]],
        "networks": [vpc["CidrBlock"] for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]],
        "subnets": [
            (subnet["CidrBlock"], subnet["AvailabilityZone"])
            for subnet in ec2.describe_subnets()["Subnets"]
            if not subnet["DefaultForAz"]
        ],
        "route tables": [
            (len(table["Associations"]), sorted(route.get("DestinationCidrBlock", "") for route in table["Routes"]))
            for table in ec2.describe_route_tables()["RouteTables"]
        ],
        "groups": [
            (group["GroupName"], str(group["IpPermissions"]).count("tcp"), len(group["IpPermissionsEgress"]))
            for group in ec2.describe_security_groups()["SecurityGroups"]
        ],
        "endpoints": [
            (one["ServiceName"], one["VpcEndpointType"]) for one in ec2.describe_vpc_endpoints()["VpcEndpoints"]
        ],
        "logs": [one["logGroupName"] for one in client(variables, "logs").describe_log_groups()["logGroups"]],
    }
    return {f"AWS: {kind}": sorted(map(str, found)) for kind, found in shapes.items()}


def different(found, wanted):
    """Of each kind that differs: what there is, what there should be."""
    return {kind: (found[kind], wanted[kind]) for kind in wanted if found[kind] != wanted[kind]}


def private_side(cloud):
    """What there is in OpenStack, without ids, addresses out of a pool, and what is random in a credential's name."""
    found = inventory(cloud)
    return {
        kind: sorted(re.sub(r"^[\d.]+ |(-[0-9a-f]{12})? ?[0-9a-f-]{32,36}$", "", name) for name in names)
        for kind, names in found.items()
    }


def test_ten_kills_and_a_run_end_in_the_same_state_as_a_run(empty_cloud, tmp_path_factory):
    with emulated(tmp_path_factory.mktemp("emulators")) as variables:
        calm = Both(tmp_path_factory.mktemp("calm"), variables)
        tasks = calm.play("provision.yml").output.count("\nTASK [")
        wanted = aws_side(variables) | private_side(empty_cloud)
        secrets = {path.name for path in (calm.folder / "secrets").iterdir()}
        calm.play("teardown.yml", "-e", "skylens_confirm=lab")

    seed = random.randrange(10**6)
    chance = random.Random(seed)
    with emulated(tmp_path_factory.mktemp("more-emulators")) as variables:
        torn = Both(tmp_path_factory.mktemp("torn"), variables)
        torn.play("provision.yml", "--syntax-check")
        for task in sorted(chance.sample(range(1, tasks + 1), KILLS)):
            seconds = chance.uniform(0, 3)
            print(f"seed {seed}: killed after {seconds:.2f} s of task {task}: {torn.killed(task, seconds)}")
        torn.play("provision.yml")
        torn.revoke()
        assert different(aws_side(variables) | private_side(empty_cloud), wanted) == {}
        assert {path.name for path in (torn.folder / "secrets").iterdir()} == secrets
        assert torn.play("provision.yml").stats["localhost"]["changed"] == 0
        torn.play("teardown.yml", "-e", "skylens_confirm=lab")
        assert {kind: found for kind, found in private_side(empty_cloud).items() if found} == {
            "security group rules": private_side(empty_cloud)["security group rules"],
            "security groups": ["default"],
        }
