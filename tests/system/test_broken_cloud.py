"""What is no fault of the network: instances that never boot, never work or hang, Spot's notice, a full disk."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from broken_cloud import Harm
from crowd import many, media_type
from plan import always
from storms import Weather, command, take_back

PICTURES = many(40)
LARGE = 3_000_000
"""Bytes of a body that the web tier does not keep in memory while it comes."""


@pytest.fixture
def broken(start, tmp_path):
    """``broken(harm, "--max", "2")``: a whole cloud in which something breaks."""
    return lambda harm, *options: start("--boot", "0.5", *options, command=command(tmp_path, harm), patience=120)


def post(cloud, named):
    name, data = named
    headers = {"Content-Type": media_type(name), "Prefer": "wait=120"}
    return requests.post(f"{cloud.url}/v1/images", data=data, headers=headers, timeout=180)


def asking(cloud, clients, pictures):
    return [clients.submit(post, cloud, named) for named in pictures]


@pytest.mark.system
def test_instances_that_never_boot_or_never_work_are_replaced_and_what_waited_is_answered(broken):
    harm = Harm(never_boot=(1,), never_work=(2,), grace=3)
    cloud = broken(harm, "--max", "2", "--set", "scaler.minimum=2", "--set", "scaler.boot_timeout=20")
    with ThreadPoolExecutor(len(PICTURES)) as clients, cloud.watch_fleet() as fleet:
        answers = [one.result() for one in asking(cloud, clients, PICTURES)]
        assert {answer.status_code for answer in answers} == {200}
        cloud.wait(lambda: cloud.log("scaler").count("instance.never_ready") >= 2, 60, "both broken ones are ended")
    assert fleet.largest <= 2


@pytest.mark.system
def test_a_worker_that_hangs_with_images_in_hand_leaves_them_to_another(broken):
    """A worker with one slot has seven images in hand at most, so while more are taken each of two has some."""
    cloud = broken(Harm(), "--max", "2", "--set", "scaler.minimum=2", "--set", "worker.slots=1")
    air = Weather(cloud)
    air.set(always("late", operation="s3.PutObject", resource="local-output/*", seconds=15))
    with ThreadPoolExecutor(len(PICTURES)) as clients:
        asked = asking(cloud, clients, PICTURES)
        cloud.wait(lambda: cloud.messages("requests")[1] > 7, 60, "both workers have taken images")
        pid = min(cloud.state.workers.values())
        os.kill(pid, signal.SIGSTOP)
        air.set(always("late"))
        try:
            assert {one.result().status_code for one in asked} == {200}
        finally:
            os.kill(pid, signal.SIGCONT)
    assert len({answer.result().json()["id"] for answer in asked}) == len(PICTURES)
    cloud.wait(lambda: cloud.messages("requests") == (0, 0), 60, "no request is left")
    assert cloud.messages("requests-dead") == (0, 0)


@pytest.mark.system
def test_a_spot_instance_that_is_taken_back_leaves_its_images_to_others(broken):
    cloud = broken(Harm(), "--max", "2")
    with ThreadPoolExecutor(len(PICTURES)) as clients:
        asked = asking(cloud, clients, PICTURES)
        cloud.wait(lambda: cloud.state.workers, 60, "a worker is there")
        taken = min(cloud.state.workers)
        take_back(cloud, taken)
        assert {one.result().status_code for one in asked} == {200}
    cloud.wait(lambda: taken not in cloud.instances(), 60, "it has left before its two minutes were over")


@pytest.mark.system
def test_tiers_with_a_full_disk_go_on_with_what_needs_none(broken):
    """Only a large upload needs the web tier's disk: it is refused or cut off, and never promised."""
    cloud = broken(Harm(full_disk=True))
    with ThreadPoolExecutor(10) as clients:
        assert {one.result().status_code for one in asking(cloud, clients, PICTURES[:10])} == {200}
    pids = [node.pid for node in cloud.state.web]
    with pytest.raises(requests.ConnectionError):
        requests.post(f"{cloud.url}/v1/images", data=bytes(LARGE), timeout=60)
    assert post(cloud, PICTURES[11]).status_code == 200
    assert [node.pid for node in cloud.state.web] == pids
    assert cloud.log("web-1") == cloud.log("scaler") == "", "a log was written"


@pytest.mark.system
def test_a_bucket_that_refuses_outcomes_holds_them_back_and_loses_none(broken):
    cloud = broken(Harm())
    air = Weather(cloud)
    air.set(always("refused", "denied", operation="s3.PutObject", resource="local-output/*"))
    with ThreadPoolExecutor(10) as clients:
        asked = asking(cloud, clients, PICTURES[:10])
        cloud.wait(lambda: air.figures()["failed"] > 10, 60, "outcomes are refused")
        assert cloud.keys("output") == []
        air.set(always("late"))
        assert {one.result().status_code for one in asked} == {200}
    cloud.wait(lambda: len(cloud.keys("output")) == 10, 120, "every outcome is stored")
    cloud.wait(lambda: cloud.messages("requests") == (0, 0), 60, "no request is left")
    assert cloud.messages("requests-dead") == (0, 0)
