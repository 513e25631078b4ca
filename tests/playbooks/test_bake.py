"""The workers' image: a builder in the emulated EC2 whose machine is a folder of this one."""

import io
import subprocess
import tarfile

import pytest
import yaml
from aws_emulators import emulated
from workers_account import Workers, inventory

pytestmark = pytest.mark.nightly

RELEASE = "0.1.0-abc"
LAUNCHER = b"""#!/bin/sh
echo 0.1.0
[ "$1 $2" != "models tune" ] || echo "{}" >"$3/tuning.json"
"""
OLD = [f"alpha-worker-old-{number}" for number in range(4)]


@pytest.fixture(scope="module")
def baked(tmp_path_factory):
    """Baked where a bake was interrupted, and four images are from before."""
    folder = tmp_path_factory.mktemp("alpha")
    model = folder / "tiny"
    model.mkdir()
    for name in ("model.onnx", "labels.txt", "model.toml"):
        (model / name).write_text(name)
    machine = folder / "machine"
    settings = {
        "skylens_admin_networks": ["192.0.2.0/24"],
        "skylens_base_ami_owner": "123456789012",
        "skylens_model": str(model),
        "skylens_aws_endpoints": {"sqs": "http://sqs.example"},
    }
    with emulated(tmp_path_factory.mktemp("emulators")) as variables:
        deployment = Workers(folder, variables, "alpha", **settings)
        deployment.machine, deployment.extra = machine, on_this_machine(machine, archive(folder))
        prepare(deployment)
        deployment.before = inventory(deployment.client)
        interrupt(deployment)
        deployment.play("aws_image", extra=deployment.extra)
        yield deployment


def archive(folder):
    """A release that says its version, and tunes a model at once."""
    path = folder / "release.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in (("bin/skylens", LAUNCHER), ("lib/skylens/__pycache__/x.pyc", b"")):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o755
            tar.addfile(entry, io.BytesIO(text))
    return path


def on_this_machine(machine, release):
    """What puts the builder's files below ``machine``."""
    (machine / "units").mkdir(parents=True)
    return {
        "aws_image_archive": str(release),
        "aws_image_connection": {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"},
        "ansible_become": False,
        "skylens_release": RELEASE,
        "skylens_root": str(machine / "opt"),
        "skylens_etc": str(machine / "etc"),
        "worker_units": str(machine / "units"),
        "worker_cloud_init": str(machine / "cloud.cfg.d"),
    }


def prepare(deployment):
    """The base image, the workers' VPC, and images of before."""
    ec2 = deployment.client("ec2")
    base = ec2.register_image(Name="debian-12-amd64-20260901")["ImageId"]
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[*deployment.tags, {"Key": "Name", "Value": "alpha-workers"}])
    (launched,) = ec2.run_instances(ImageId=base, MinCount=1, MaxCount=1)["Instances"]
    for name in OLD:
        image = ec2.create_image(InstanceId=launched["InstanceId"], Name=name)["ImageId"]
        ec2.create_tags(Resources=[image], Tags=[*deployment.tags, {"Key": "skylens:tier", "Value": "worker-image"}])
    ec2.terminate_instances(InstanceIds=[launched["InstanceId"]])
    deployment.vpc = vpc


def interrupt(deployment):
    """What a bake leaves behind when it is killed as its builder starts."""
    ec2 = deployment.client("ec2")
    tags = [*deployment.tags, {"Key": "skylens:tier", "Value": "builder"}, {"Key": "Name", "Value": "alpha-builder"}]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=deployment.vpc)
    subnet = ec2.create_subnet(VpcId=deployment.vpc, CidrBlock="10.77.240.0/20")["Subnet"]["SubnetId"]
    (launched,) = ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=subnet)["Instances"]
    ec2.create_tags(Resources=[gateway, subnet, launched["InstanceId"]], Tags=tags)


@pytest.fixture(scope="module")
def image(baked):
    (found,) = [
        each
        for each in baked.client("ec2").describe_images(Owners=["self"])["Images"]
        if each["Name"].startswith(f"alpha-worker-{RELEASE}-")
    ]
    return found


def test_the_image_says_what_it_is(image):
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    assert tags["skylens:deployment"] == "alpha"
    assert tags["skylens:release"] == RELEASE


def test_nothing_is_left_but_the_image_not_even_of_the_bake_that_was_interrupted(baked, image):
    snapshots = {each["Ebs"]["SnapshotId"] for each in image["BlockDeviceMappings"]}
    new = {f"image: {image['ImageId']}", *(f"snapshot: {one}" for one in snapshots)}
    assert inventory(baked.client) - baked.before == new
    assert not list(baked.secrets.glob("bake_*"))


def test_only_the_newest_images_and_their_snapshots_are_kept(baked, image):
    ours = baked.of("describe_images", "Images")
    kept = {each["Name"] for each in ours} - {image["Name"]}
    assert len(ours) == 3
    assert kept < set(OLD)
    snapshots = {one["SnapshotId"] for one in baked.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert {each["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] for each in ours} <= snapshots


def test_the_builder_could_be_reached_by_the_administrators_alone_and_would_end_by_itself(baked):
    (builder,) = [
        one
        for group in baked.client("ec2").describe_instances()["Reservations"]
        for one in group["Instances"]
        if one["ImageId"] != "ami-12345678" and {"Key": "skylens:tier", "Value": "builder"} in one.get("Tags", [])
    ]
    assert builder["State"]["Name"] == "terminated"
    behaviour = baked.client("ec2").describe_instance_attribute(
        InstanceId=builder["InstanceId"], Attribute="instanceInitiatedShutdownBehavior"
    )
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"


def test_a_second_run_bakes_nothing(baked):
    before = inventory(baked.client)
    again = baked.play("aws_image", extra=baked.extra)
    assert again.stats["localhost"]["changed"] == 0, again.output
    assert inventory(baked.client) == before


def test_the_image_has_the_release_the_model_and_what_cannot_be_told_at_launch(baked):
    machine = baked.machine
    said = subprocess.check_output([machine / "opt" / "current" / "bin" / "skylens"], text=True)
    assert said == "0.1.0\n"
    assert (machine / "opt" / "models" / "tiny" / "model.onnx").read_text() == "model.onnx"
    assert (machine / "opt" / "models" / "tiny" / "tuning.json").is_file()
    lines = (machine / "etc" / "worker.env").read_text().splitlines()
    assert f"SKYLENS_MODEL={machine}/opt/models/tiny" in lines
    assert "AWS_ENDPOINT_URL_SQS=http://sqs.example" in lines
    assert "AWS_REGION=us-east-1" in lines


def test_the_worker_starts_with_the_machine(baked):
    units = baked.machine / "units"
    link = units / "multi-user.target.wants" / "skylens-worker.service"
    assert link.resolve() == units / "skylens-worker.service"


def test_a_worker_runs_nothing_that_it_is_told_at_launch(baked):
    """Who has the autoscaler's keys launches with any user data; cloud-init would run a script in them as root."""
    assert yaml.safe_load((baked.machine / "cloud.cfg.d" / "99-skylens.cfg").read_text()) == {"allow_userdata": False}
