"""The whole tier as a process, and ``Ec2Instances``, against moto's real server."""

import base64
import json
import os
import signal
import subprocess
import sys
import time

import moto_cloud
import pytest
from moto_cloud import AWS, serving_moto, template, until
from service_manager import ServiceManager
from web_node import Node, serving

from autoscaler.assembly import owner, user_data
from autoscaler.lease import KEY, Held
from skylens.instances import Ec2Instances
from skylens.messages import Demand, decode, encode
from skylens.settings import ScalerSettings


@pytest.fixture(scope="module")
def moto():
    with serving_moto() as address:
        yield address


@pytest.fixture
def client(moto):
    """Makes boto3 clients of the emulator."""
    return lambda service: moto_cloud.client(service, moto)


def given(ec2, instance):
    answer = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
    return base64.b64decode(answer["UserData"]["Value"]).decode()


def test_instances_are_launched_found_by_tag_drained_and_terminated(client):
    ec2 = client("ec2")
    template(ec2, "one-worker")
    instances, strangers = Ec2Instances(ec2, "one", "one-worker"), Ec2Instances(ec2, "two", "one-worker")
    ids = instances.launch(3, "token")
    strangers.launch(1, "other")
    shown = {instance.id: instance for instance in instances.all()}
    assert set(shown) == set(ids)
    assert {instance.state for instance in shown.values()} <= {"pending", "running"}
    assert all(abs(instance.launched - time.time()) < 300 for instance in shown.values())
    instances.drain(ids[:2])
    assert {instance.id for instance in instances.all() if instance.draining} == set(ids[:2])
    instances.terminate(ids[0])
    assert {instance.id for instance in instances.all()} == set(ids[1:])


def test_what_is_gone_is_passed_over(client):
    ec2 = client("ec2")
    template(ec2, "gone-worker")
    instances = Ec2Instances(ec2, "gone", "gone-worker")
    (one,) = instances.launch(1, "gone")
    instances.drain(["i-0123456789abcdef0", one])
    assert [instance.draining for instance in instances.all()] == [True]
    for each in ("i-0123456789abcdef0", one):
        instances.terminate(each)
    assert instances.all() == []


def test_who_is_expected_is_shown_as_terminated_even_without_tags_and_a_stranger_to_ec2_is_not_shown(client):
    ec2 = client("ec2")
    template(ec2, "ended-worker")
    instances = Ec2Instances(ec2, "ended", "ended-worker")
    (ended,), (alive,) = instances.launch(1, "ended"), instances.launch(1, "alive")
    instances.terminate(ended)
    ec2.delete_tags(Resources=[ended])
    unknown = [f"i-{number:017x}" for number in range(300)]
    shown = {instance.id: instance.state for instance in instances.all([ended, alive, *unknown])}
    assert shown == {ended: "terminated", alive: "running"}


def test_user_data_given_at_launch_come_after_the_templates_own(client):
    ec2 = client("ec2")
    template(ec2, "data-worker", "SKYLENS_MODEL=cifar10\nSKYLENS_IDLE_TIMEOUT=0")
    plain = Ec2Instances(ec2, "data", "data-worker").launch(1, "plain")
    instances = Ec2Instances(ec2, "data", "data-worker", "SKYLENS_IDLE_TIMEOUT=30\n")
    more = instances.launch(1, "more", user_data=instances.user_data())
    assert given(ec2, plain[0]) == "SKYLENS_MODEL=cifar10\nSKYLENS_IDLE_TIMEOUT=0"
    assert given(ec2, more[0]) == "SKYLENS_MODEL=cifar10\nSKYLENS_IDLE_TIMEOUT=0\nSKYLENS_IDLE_TIMEOUT=30\n"


def test_only_deficit_gives_its_workers_an_idle_timeout():
    assert user_data(ScalerSettings(policy="deficit", idle_timeout=45)) == "SKYLENS_IDLE_TIMEOUT=45\n"
    assert user_data(ScalerSettings(policy="greedy")) == ""


def test_no_two_autoscalers_have_the_same_name():
    assert owner() != owner()


@pytest.fixture
def web():
    """A web node with eight outstanding images."""
    now = time.time()
    demand = Demand(
        node="web",
        at=now,
        started=now - 3600,
        arrivals=(8, 0),
        completions=(0, 0),
        outstanding=8,
        oldest=1.0,
        service_times=(),
    )
    with serving(Node(encode(demand))) as server:
        yield server


def scaler(moto, web, deployment, *arguments, **more):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SKYLENS_")},
        **AWS,
        "AWS_ENDPOINT_URL": moto,
        "AWS_ENDPOINT_URL_S3": moto,
        "SKYLENS_DEPLOYMENT": deployment,
        "SKYLENS_WEB_NODES": web.url,
        "SKYLENS_TICK_SECONDS": "0.1",
        "SKYLENS_POLICY": "greedy",
        **more,
    }
    command = "import sys; from skylens.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", command, "scaler", *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_the_process_waits_for_its_queues_then_sizes_the_fleet_and_leaves_it_on_sigterm(moto, client, web):
    template(client("ec2"), "main-worker")
    client("s3").create_bucket(Bucket="main-state")
    with scaler(moto, web, "main") as process:
        for kind in ("requests", "events"):
            client("sqs").create_queue(QueueName=f"main-{kind}")
        fleet = Ec2Instances(client("ec2"), "main", "main-worker")
        until(lambda: len(fleet.all()) == 2)
        until(lambda: web.taken and len(web.taken[-1][2]["workers"]) == 2)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    lines = [json.loads(line) for line in output.splitlines()]
    decision = next(line for line in lines if line["event"] == "scaler.decision")
    assert process.returncode == 0
    assert (decision["old"], decision["desired"], decision["new"], decision["outstanding"]) == (0, 2, 2, 8)
    assert lines[-1]["event"] == "scaler.stopped"
    assert len(fleet.all()) == 2
    lease = client("s3").get_object(Bucket="main-state", Key=KEY)["Body"].read()
    assert decode(Held, lease).owner == ""


def test_a_dry_run_process_launches_nothing_and_its_service_manager_is_told(moto, client, web, tmp_path):
    template(client("ec2"), "dry-worker")
    for kind in ("requests", "events"):
        client("sqs").create_queue(QueueName=f"dry-{kind}")
    with (
        ServiceManager(tmp_path, watchdog=60) as manager,
        scaler(moto, web, "dry", "--dry-run", **manager.environ) as process,
    ):
        decision = next(line for line in map(json.loads, process.stdout) if line["event"] == "scaler.decision")
        manager.wait_for("STATUS=2 instances wanted, 0 there: 8 outstanding, 4 per instance")
        manager.wait_for("WATCHDOG=1")
        process.send_signal(signal.SIGINT)
        manager.wait_for("STOPPING=1")
        process.communicate(timeout=60)
    assert (process.returncode, decision["new"]) == (0, 2)
    assert Ec2Instances(client("ec2"), "dry", "dry-worker").all() == []
