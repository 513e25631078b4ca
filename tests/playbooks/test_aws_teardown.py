"""Teardown of one of two deployments whose names begin alike, in an account that has more of such names."""

import json

import pytest
from aws_emulators import emulated
from playbook import PLAYBOOKS, run
from workers_account import Workers, inventory

pytestmark = pytest.mark.nightly

CONFIRMED = {"skylens_confirm": "alpha"}
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*"}]}
)
STACK = json.dumps({"Resources": {"Nothing": {"Type": "AWS::Budgets::Budget", "Properties": {}}}})


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """``alpha``, to be taken away; ``empty``, ``others``: what there was before it and is to be left."""
    with emulated(tmp_path_factory.mktemp("emulators")) as variables:
        alpha = Workers(tmp_path_factory.mktemp("alpha"), variables, "alpha")
        beside = Workers(tmp_path_factory.mktemp("beside"), variables, "alpha-replies")
        fill(beside)
        foreign(alpha.client)
        alpha.others = inventory(alpha.client)
        fill(alpha)
        alpha.secrets.mkdir()
        for name in ("aws-web.ini", "roles-anywhere.json", "id_ed25519"):
            (alpha.secrets / name).touch()
        yield alpha


def fill(deployment):
    """Everything that the playbooks and the tiers make of a deployment."""
    network(deployment)
    machines(deployment)
    services(deployment)
    rights(deployment)


def network(deployment):
    ec2, tags = deployment.client("ec2"), deployment.tags
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.0.0/20")["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    groups = []
    for name in ("workers-endpoints", "workers"):
        group = ec2.create_security_group(GroupName=f"{deployment.name}-{name}", Description=name, VpcId=vpc)["GroupId"]
        for other in groups:  # so that the order matters
            rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": other}]}
            ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[rule])
        groups.append(group)
    endpoint = ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName="com.amazonaws.us-east-1.s3", VpcEndpointType="Gateway", RouteTableIds=[table]
    )
    made = [vpc, subnet, table, gateway, *groups, endpoint["VpcEndpoint"]["VpcEndpointId"]]
    ec2.create_tags(Resources=made, Tags=tags)
    deployment.subnet = subnet


def machines(deployment):
    """A group with a member, a launched instance, a draining one, an image, a volume that nobody has."""
    ec2, name = deployment.client("ec2"), deployment.name
    specifications = [{"ResourceType": kind, "Tags": deployment.tags} for kind in ("instance", "volume")]
    ec2.create_launch_template(
        LaunchTemplateName=f"{name}-worker",
        LaunchTemplateData={"ImageId": "ami-12345678", "TagSpecifications": specifications},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": deployment.tags}],
    )
    template = {"LaunchTemplateName": f"{name}-worker"}
    autoscaling = deployment.client("autoscaling")
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=f"{name}-workers",
        LaunchTemplate=template,
        MinSize=0,
        MaxSize=3,
        DesiredCapacity=1,
        VPCZoneIdentifier=deployment.subnet,
        NewInstancesProtectedFromScaleIn=True,
        Tags=[{**tag, "PropagateAtLaunch": True} for tag in deployment.tags],
    )
    launched = ec2.run_instances(
        LaunchTemplate=template, MinCount=2, MaxCount=2, SubnetId=deployment.subnet, TagSpecifications=specifications
    )["Instances"]
    ec2.create_tags(Resources=[launched[0]["InstanceId"]], Tags=[{"Key": "skylens:state", "Value": "draining"}])
    image = [{"ResourceType": kind, "Tags": deployment.tags} for kind in ("image", "snapshot")]
    ec2.create_image(InstanceId=launched[0]["InstanceId"], Name=f"{name}-worker-0.1.0", TagSpecifications=image)
    ec2.create_volume(AvailabilityZone="us-east-1a", Size=8, TagSpecifications=specifications[1:])


def services(deployment):
    """Queues with one that a web node made, buckets with versions, alarms, logs, a stack."""
    name, tag = deployment.name, {"skylens:deployment": deployment.name}
    for queue in ("requests", "requests-dead", "events", "replies-web-1-8080"):
        deployment.client("sqs").create_queue(QueueName=f"{name}-{queue}", tags=tag)
    s3 = deployment.client("s3")
    for bucket in (f"{name}-input", f"{name}-output", f"{name}-state"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": deployment.tags})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for text in (b"one", b"two"):
            s3.put_object(Bucket=bucket, Key="tenant/key", Body=text)
        s3.delete_object(Bucket=bucket, Key="tenant/key")
    for alarm in ("start", "out", "in", "idle"):
        watch(deployment.client, f"{name}-{alarm}", name)
    deployment.client("logs").create_log_group(logGroupName=f"/skylens/{name}", tags=tag)
    deployment.client("cloudformation").create_stack(
        StackName=f"{name}-budget", TemplateBody=STACK, Tags=deployment.tags
    )


def watch(client, alarm, deployment):
    client("cloudwatch").put_metric_alarm(
        AlarmName=alarm,
        Namespace="Skylens",
        MetricName="Demand",
        Dimensions=[{"Name": "Deployment", "Value": deployment}],
        Statistic="Maximum",
        ComparisonOperator="LessThanThreshold",
        Threshold=1,
        Period=10,
        EvaluationPeriods=1,
    )


def rights(deployment):
    iam, name, tags = deployment.client("iam"), deployment.name, deployment.tags
    deployment.give_role()
    for tier in ("web", "scaler"):
        policy = iam.create_policy(PolicyName=f"{name}-{tier}", PolicyDocument=POLICY, Tags=tags)["Policy"]["Arn"]
        iam.create_user(UserName=f"{name}-{tier}", Tags=tags)
        iam.attach_user_policy(UserName=f"{name}-{tier}", PolicyArn=policy)
        iam.create_access_key(UserName=f"{name}-{tier}")


def foreign(client):
    """What others have, under names that would be alpha's or begin like them."""
    client("sqs").create_queue(QueueName="alpha-replies-of-somebody")
    client("s3").create_bucket(Bucket="alpha-archive")
    client("iam").create_role(RoleName="alpha-web", AssumeRolePolicyDocument=TRUST)
    client("ec2").create_vpc(CidrBlock="10.77.0.0/16")
    watch(client, "alpha-night", "something-else")


def teardown(alpha, **extra):
    given = {"skylens_deployment": "alpha", "skylens_sides": ["aws"], "skylens_open_door": True}
    given["skylens_secrets"] = str(alpha.secrets)
    arguments = ["-e", json.dumps({"skylens_checked": True, **extra})]
    return run(PLAYBOOKS / "teardown.yml", given, alpha.variables, *arguments, folder=alpha.folder)


def test_without_a_confirmation_it_says_what_would_go_and_deletes_nothing(account):
    before = inventory(account.client)
    for answer in ({}, {"skylens_confirm": "alpha-replies"}):
        refused = teardown(account, **answer)
        assert refused.rc != 0
        assert "queues: alpha-events, alpha-replies-web-1-8080, alpha-requests, alpha-requests-dead" in refused.output
        assert "add: -e skylens_confirm=alpha" in refused.output
    assert inventory(account.client) == before


@pytest.fixture(scope="module")
def gone(account):
    done = teardown(account, **CONFIRMED)
    assert done.rc == 0, done.output
    return done


@pytest.mark.usefixtures("gone")
def test_nothing_of_the_deployment_is_left_and_all_else_is_as_it_was(account):
    assert inventory(account.client) == account.others


def test_what_only_has_its_name_is_told(gone):
    assert "roles: alpha-web has the name but not the tag skylens:deployment=alpha" in gone.output


@pytest.mark.usefixtures("gone")
def test_the_credentials_go_and_other_secrets_stay(account):
    assert [path.name for path in account.secrets.iterdir()] == ["id_ed25519"]


@pytest.mark.usefixtures("gone")
def test_a_second_run_finds_nothing_to_do(account):
    again = teardown(account, **CONFIRMED)
    assert (again.rc, again.stats["localhost"]["changed"]) == (0, 0), again.output
