"""The whole application on what the playbooks made of AWS, then a second run, and teardown."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from crowd import many, media_type
from harness import Cloud
from up_on_playbooks import AWS_SIDE, again

from app_aws import engine, registry

COUNT = 100


@pytest.mark.system
@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_hundred_images_are_right_on_it_a_second_run_changes_nothing_and_teardown_leaves_nothing(tmp_path):
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("up_on_playbooks.py")), str(inventory), "up"]
    model = registry.load(registry.BUNDLED / "cifar10")
    pictures = many(COUNT)
    cloud = Cloud(tmp_path, "--max", "3", command=command, patience=900)
    with cloud:

        def recognise(named):
            headers = {"Content-Type": media_type(named[0])}
            return httpx2.post(f"{cloud.url}/v1/images?wait=120", content=named[1], headers=headers, timeout=130)

        with ThreadPoolExecutor(32) as clients:
            answers = list(clients.map(recognise, pictures))
        assert [answer.status_code for answer in answers] == [200] * COUNT
        labels = [answer.json()["labels"][0]["label"] for answer in answers]
        assert labels == [
            engine.top(model.infer([model.prepare(data)])[0], model.labels, 1)[0].label for _, data in pictures
        ]
        for name in AWS_SIDE:
            assert again(inventory, cloud.environment, name).stats["localhost"]["changed"] == 0
        down = again(inventory, cloud.environment, "teardown.yml", "-e", "skylens_confirm=local")
        assert down.rc == 0, down.output[-4000:]
        assert cloud.s3.list_buckets()["Buckets"] == []
        left = cloud.sqs.list_queues().get("QueueUrls", [])
        assert [url for url in left if "-replies-" not in url] == []  # a web node that still runs makes its own anew
        assert cloud.instances() == []
        assert cloud.ec2.describe_launch_templates()["LaunchTemplates"] == []
