"""``kill -9`` of each tier in the middle of 200 images: nothing lost, nothing answered twice, nothing mispaired."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from harness import answers
from last_call import dying_at

COUNT = 200


def ask(cloud, name, data, deadline):
    """A client that never gives up before the deadline: posts with a key, then asks by id, through any refusal."""
    place, pause = None, threading.Event()
    digest = hashlib.sha256(data).hexdigest()
    while time.monotonic() < deadline:
        try:
            if place is None:
                headers = {"Prefer": "wait=20", "Idempotency-Key": digest}
                answer = requests.post(f"{cloud.url}/v1/images", files={"f": (name, data)}, headers=headers, timeout=40)
            else:
                answer = requests.get(f"{cloud.url}{place}?wait=20", timeout=40)
        except requests.ConnectionError:
            pause.wait(0.5)
            continue
        if answer.status_code == 202:
            place = answer.headers["Location"]
        elif answer.status_code == 503:
            pause.wait(float(answer.headers["Retry-After"]))
        else:
            return answer
    raise AssertionError(f"{name} was never answered")


def kill_a_busy_worker(cloud):
    """Between the first answer and the last; the fleet's report, which would name one, is as old as a heartbeat."""
    cloud.wait(lambda: cloud.keys("output") and cloud.messages("requests")[1], 60, "images are in hand")
    cloud.kill_worker()


def kill_the_web_tier(cloud):
    cloud.wait(lambda: len(cloud.keys("output")) > 20, 60, "some images are answered")
    cloud.kill_web()


def kill_the_autoscaler(cloud):
    cloud.wait(lambda: len(cloud.keys("output")) > 20, 60, "some images are answered")
    cloud.kill_scaler()


@pytest.mark.system
@pytest.mark.parametrize("kill", [kill_a_busy_worker, kill_the_web_tier, kill_the_autoscaler])
def test_nothing_is_lost_doubled_or_mispaired(start, offline, pictures, kill):
    cloud = start("--max", "3", "--boot", "1")
    sent = pictures[:COUNT]
    deadline = time.monotonic() + 240
    with cloud.watch_fleet() as fleet:
        with ThreadPoolExecutor(32) as clients:
            asked = [clients.submit(ask, cloud, name, data, deadline) for name, data in sent]
            kill(cloud)
            answers = [one.result() for one in asked]
        cloud.wait(lambda: fleet.samples[-1][1] == 0, 120, "the fleet is back to none")
    assert [answer.status_code for answer in answers] == [200] * COUNT
    bodies = [answer.json() for answer in answers]
    assert len({body["id"] for body in bodies}) == COUNT
    for body, (name, data) in zip(bodies, sent, strict=True):
        assert body["name"] == name
        assert body["digest"] == hashlib.sha256(data).hexdigest()
        assert body["labels"][0]["label"] == offline.label(data)
    assert sorted(cloud.keys("output")) == sorted(f"default/{body['id']}.json" for body in bodies)
    assert fleet.largest <= 3
    cloud.wait(lambda: cloud.messages("requests") == (0, 0), 60, "no request is left")
    assert cloud.messages("requests-dead") == (0, 0)


@pytest.mark.system
def test_a_deletion_that_was_killed_before_its_last_step_is_made_whole_by_asking_again(start, pictures, tmp_path):
    dying = dying_at(tmp_path, "Bucket", "endswith('-input')")
    cloud = start("--max", "1", "--boot", "1", environment=dying)
    name, data = pictures[0]
    job = requests.post(f"{cloud.url}/v1/images", files={"f": (name, data)}, timeout=90).json()["id"]
    place, before = f"{cloud.url}/v1/images/{job}", cloud.state.web[0].restarts
    with pytest.raises(requests.ConnectionError):
        requests.delete(place, timeout=30)
    assert (tmp_path / "killed").exists()
    cloud.wait(lambda: cloud.state.web[0].restarts > before, 30, "the web tier is started again")
    cloud.wait(lambda: answers(f"{cloud.url}/readyz"), 30, "it is ready again")
    assert cloud.keys("input") == [f"default/{job}"]
    assert requests.get(place, timeout=30).json()["code"] == "deleted"
    assert requests.delete(place, timeout=30).status_code == 204
    assert cloud.keys("input") == []
    assert requests.get(place, timeout=30).status_code == 410
