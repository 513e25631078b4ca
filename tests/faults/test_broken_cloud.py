"""What is no fault of the network: instances that never boot or work, Spot's notice, a full disk."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from broken_cloud import Harm
from crowd import many, media_type
from harness import Cloud
from plan import always
from storms import Weather, command, take_back

PICTURES = many(60)


def post(cloud, named):
    name, data = named
    headers = {"Content-Type": media_type(name)}
    return requests.post(f"{cloud.url}/v1/images?wait=120", data=data, headers=headers, timeout=180)


def post_all(cloud, pictures):
    with ThreadPoolExecutor(len(pictures)) as clients:
        return list(clients.map(lambda named: post(cloud, named), pictures))


@pytest.mark.system
def test_instances_that_never_boot_or_never_work_are_replaced(tmp_path):
    harm = Harm(never_boot=(1,), never_work=(2,))
    options = ("--max", "2", "--boot", "0.5", "--set", "scaler.boot_timeout=5")
    with Cloud(tmp_path, *options, command=command(tmp_path, harm)) as cloud, cloud.watch_fleet() as fleet:
        answers = post_all(cloud, PICTURES)
        assert {answer.status_code for answer in answers} == {200}
        assert fleet.largest <= 2
        assert len(cloud.launched()) >= 3
        assert sum("worker.ready" in log for log in cloud.worker_logs().values()) == len(cloud.launched()) - 2
        cloud.wait(lambda: fleet.samples[-1][1] == 0, 120, "the fleet is back to none")


@pytest.mark.system
def test_a_spot_instance_that_is_taken_back_leaves_its_images_to_others(tmp_path):
    with Cloud(tmp_path, "--max", "2", "--boot", "0.5", command=command(tmp_path)) as cloud:
        with ThreadPoolExecutor(len(PICTURES)) as clients:
            asked = [clients.submit(post, cloud, named) for named in PICTURES]
            cloud.wait(lambda: cloud.state.workers, 60, "a worker is there")
            taken = min(cloud.state.workers)
            take_back(cloud, taken)
            assert {one.result().status_code for one in asked} == {200}
        cloud.wait(lambda: taken not in cloud.instances(), 60, "it has left before its two minutes were over")
        stopped = [line for line in cloud.records(f"worker-{taken}") if line["event"] == "worker.stopped"]
        assert [line["reason"] for line in stopped] in (["spot"], [])


@pytest.fixture
def full_disk(tmp_path):
    """A folder without a free byte."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        missing = "only root may mount a disk that is full"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    try:
        (folder / "all").write_bytes(bytes(4096))
        with pytest.raises(OSError, match="No space left"):
            (folder / "more").write_bytes(bytes(4096))
        yield str(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.system
def test_tiers_with_a_full_disk_go_on_with_what_needs_none(tmp_path, full_disk):
    """Only an upload of more than 64 KiB needs the web tier's disk: it is not answered, and never promised."""
    with Cloud(tmp_path, "--boot", "0.5", command=command(tmp_path, Harm(full_disk=full_disk))) as cloud:
        assert {answer.status_code for answer in post_all(cloud, PICTURES[:10])} == {200}
        try:
            large = requests.post(f"{cloud.url}/v1/images", data=bytes(3_000_000), timeout=60).status_code
        except requests.ConnectionError:
            large = 0
        assert large >= 500 or large == 0
        assert post(cloud, PICTURES[11]).status_code == 200
        assert cloud.state.web[0].restarts == 0


@pytest.mark.system
def test_a_bucket_that_refuses_outcomes_holds_them_back_and_loses_none(tmp_path):
    with Cloud(tmp_path, "--boot", "0.5", command=command(tmp_path)) as cloud:
        air = Weather(cloud)
        air.set(always("refused", "denied", operation="s3.PutObject", resource="local-output/*"))
        with ThreadPoolExecutor(10) as clients:
            asked = [clients.submit(post, cloud, named) for named in PICTURES[:10]]
            cloud.wait(lambda: air.figures()["failed"] > 10, 60, "outcomes are refused")
            assert cloud.keys("output") == []
            air.set(always("late"))
            assert {one.result().status_code for one in asked} == {200}
        cloud.wait(lambda: len(cloud.keys("output")) == 10, 120, "every outcome is stored")
        cloud.wait(lambda: cloud.messages("requests") == (0, 0), 60, "no request is left")
        assert cloud.messages("requests-dead") == (0, 0)
