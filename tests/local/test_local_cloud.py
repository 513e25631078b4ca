"""``skylens up`` with stand-ins for the tiers: what the embedded cloud itself promises."""

import base64
import json
import re
import socket

import psutil
import pytest
from harness import Cloud, alive
from standins import FOREIGN, STANDIN_UP

from skylens.local import resources
from skylens.local.clients import Clients
from skylens.local.tiers import Options

TEMPLATE = {"LaunchTemplateName": "local-worker"}


def launch(cloud, count=1):
    """Launch instances and wait for their workers to have told what they see, by instance."""
    answer = cloud.ec2.run_instances(LaunchTemplate=TEMPLATE, MinCount=count, MaxCount=count)
    launched = [one["InstanceId"] for one in answer["Instances"]]
    cloud.wait(lambda: all(cloud.records(f"worker-{one}") for one in launched), 30, "the workers run")
    return {one: cloud.records(f"worker-{one}")[0] for one in launched}


def process(cloud, instance):
    cloud.wait(lambda: instance in cloud.state.workers, 10, "the worker is in the state file")
    return psutil.Process(cloud.state.workers[instance])


def test_an_instance_becomes_a_worker_with_its_own_metadata_and_user_data(cloud):
    for instance, told in launch(cloud, 2).items():
        assert told["id"] == instance
        assert "SKYLENS_DEPLOYMENT=local\n" in told["user_data"]
        assert re.search(r"^SKYLENS_MODEL=/.*/cifar10$", told["user_data"], re.MULTILINE)


def test_a_worker_has_only_what_a_real_instance_has(cloud):
    (told,) = launch(cloud).values()
    names = told["environment"].keys()
    assert not [name for name in names if name.startswith("SKYLENS_")]
    assert "AWS_EC2_METADATA_DISABLED" not in names
    assert told["environment"]["AWS_EC2_METADATA_SERVICE_ENDPOINT"] == f"{cloud.state.metadata}/{told['id']}"


def test_nothing_of_the_users_own_aws_reaches_any_child(cloud):
    (worker,) = launch(cloud).values()
    for seen in (worker["environment"], cloud.records("web-1")[0], cloud.records("scaler")[0]):
        for name, value in FOREIGN.items():
            assert seen.get(name) != value, name
        assert seen["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    for child in cloud.processes():
        assert "real" not in str({name: value for name, value in child.environ().items() if name.startswith("AWS")})


def test_a_terminated_instance_loses_its_process(cloud):
    (instance,) = launch(cloud)
    worker = process(cloud, instance)
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    cloud.wait(lambda: not alive(worker), 20, "the process is gone")


def test_a_killed_process_loses_its_instance(cloud):
    (instance,) = launch(cloud)
    process(cloud, instance)
    cloud.kill_worker(instance)
    cloud.wait(lambda: instance not in cloud.instances(), 20, "the instance is terminated")
    assert f"worker of {instance} ended with signal 9" in cloud.output()


def test_a_worker_told_to_drain_by_its_tag_leaves_and_shuts_its_instance_down(cloud):
    (instance,) = launch(cloud)
    cloud.ec2.create_tags(Resources=[instance], Tags=[{"Key": "skylens:state", "Value": "draining"}])
    cloud.wait(lambda: instance not in cloud.instances(), 20, "the instance is terminated")


def test_a_killed_tier_is_started_again_on_its_address(cloud):
    before = cloud.state
    cloud.kill_web()
    cloud.kill_scaler()
    after = cloud.state
    assert after.web[0].url == before.web[0].url
    assert after.web[0].pid != before.web[0].pid
    assert "web-1" in cloud.output()
    assert "starting it again" in cloud.output()


def test_a_launch_gives_up_to_its_most_and_its_repeat_gives_the_same(cloud):
    options = {"LaunchTemplate": TEMPLATE, "MinCount": 1, "MaxCount": 3, "ClientToken": "once"}
    first, again = (cloud.ec2.run_instances(**options)["Instances"] for _ in range(2))
    launched = [one["InstanceId"] for one in first]
    assert len(launched) == 3
    assert [one["InstanceId"] for one in again] == launched
    cloud.ec2.terminate_instances(InstanceIds=launched)


def test_the_watch_sees_every_instance_that_counts(cloud):
    with cloud.watch_fleet() as fleet:
        launched = launch(cloud, 3)
        cloud.wait(lambda: fleet.largest >= 3, 20, "the watch has seen three")
        cloud.ec2.terminate_instances(InstanceIds=list(launched))
        cloud.wait(lambda: len(cloud.instances()) == fleet.samples[-1][1], 20, "the watch has seen them go")
    assert fleet.sizes


def test_resources_are_those_of_production_and_made_only_once(cloud):
    options = Options()
    for _ in range(2):
        resources.create(Clients(cloud.environment), options.shared(), options.worker())
    buckets = [bucket["Name"] for bucket in cloud.s3.list_buckets()["Buckets"]]
    assert sorted(buckets) == ["local-input", "local-output", "local-state"]
    urls = cloud.sqs.list_queues()["QueueUrls"]
    assert sorted(url.rpartition("/")[2] for url in urls) == ["local-events", "local-requests", "local-requests-dead"]
    url = next(url for url in urls if url.endswith("local-requests"))
    made = cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert made["VisibilityTimeout"] == "10"
    redrive = json.loads(made["RedrivePolicy"])
    assert (str(redrive["maxReceiveCount"]), redrive["deadLetterTargetArn"].rpartition(":")[2]) == (
        "5",
        "local-requests-dead",
    )
    (version,) = cloud.ec2.describe_launch_template_versions(**TEMPLATE)["LaunchTemplateVersions"]
    template = version["LaunchTemplateData"]
    assert template["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert template["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    assert base64.b64decode(template["UserData"]).decode().startswith("SKYLENS_DEPLOYMENT=local\n")


def test_everything_listens_on_loopback_alone(cloud):
    for one in [psutil.Process(cloud.pid), *cloud.processes()]:
        places = {place.laddr.ip for place in one.net_connections("inet") if place.status == psutil.CONN_LISTEN}
        assert places <= {"127.0.0.1"}, one.cmdline()


def test_leaving_in_order_leaves_no_process_and_no_file(tmp_path):
    cloud = Cloud(tmp_path, "--boot", "0", "--web", "2", command=STANDIN_UP)
    with cloud:
        launch(cloud, 2)
        assert len(cloud.urls) == 2
        assert len(cloud.processes()) == 2 + 2 + 1 + 2  # emulators, web nodes, scaler, workers
    # the harness has checked processes and files; the order is told
    said = [line for line in cloud.output().splitlines() if "stopping" in line]
    assert [line.split()[-1] for line in said] == ["autoscaler", "tier", "workers", "emulators"]
    assert not (tmp_path / "state.json").exists()


def test_kill_9_of_up_ends_every_child(tmp_path):
    with Cloud(tmp_path, "--boot", "0", command=STANDIN_UP) as cloud:
        launch(cloud)
        children = cloud.kill()
        assert len(children) == 5
        cloud.wait(lambda: not any(map(alive, children)), 20, "every child is gone", watch=False)


def test_a_child_that_fails_at_start_shows_the_end_of_its_log_and_leaves_nothing(tmp_path):
    cloud = Cloud(tmp_path, "--set", "web.rate_limit=refuse", command=STANDIN_UP)
    with pytest.raises(AssertionError, match="up ended with 2") as caught, cloud:
        pass
    assert "web-1 ended with status 1" in str(caught.value)
    assert "SKYLENS_RATE_LIMIT=refuse: not a rate" in str(caught.value)


def test_a_dead_emulator_ends_everything_and_says_why(tmp_path):
    with Cloud(tmp_path, command=STANDIN_UP, status=2) as cloud:
        psutil.Process(cloud.state.emulators["moto"]).kill()
        with pytest.raises(AssertionError, match="moto ended with signal 9"):
            cloud.wait(lambda: False, 30, "nothing: up has to end")


def test_a_taken_port_is_said_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        cloud = Cloud(tmp_path, "--port", str(port), command=STANDIN_UP)
        with pytest.raises(AssertionError, match=f"port {port} is taken; try --port {port + 1}"), cloud:
            pass
        assert not (tmp_path / "logs").exists()
