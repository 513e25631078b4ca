"""Up and down by one release under load, and a start on what an older release left behind."""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
import requests
import uuid_utils.compat
from harness import answers
from storm_clients import Clients, Job

PROGRAM = Path(__file__).with_name("other_release.py")
GOLDEN = Path(__file__).parents[1] / "skylens" / "golden"
SENDERS = 6


class Load:
    """Clients that send one image after the other, each until it has its answer. A context manager."""

    def __init__(self, cloud, pictures, offline):
        self._clients = Clients(cloud.urls, time.monotonic() + 400, seed=1)
        self._pictures, self._labels = pictures, [offline.label(data) for _, data in pictures]
        self._numbers, self._stop = count(), threading.Event()
        self._threads = ThreadPoolExecutor(SENDERS)
        self.answers = []

    def _send(self):
        while not self._stop.is_set():
            number = next(self._numbers)
            at = number % len(self._pictures)
            name, data = self._pictures[at]
            job = Job(f"load_{number:06}.{name.rpartition('.')[2]}", data + b"%d" % number, self._labels[at])
            self.answers += self._clients.by_id(job)
            self._stop.wait(0.1)

    def __enter__(self):
        self._sending = [self._threads.submit(self._send) for _ in range(SENDERS)]
        return self

    def __exit__(self, *_):
        self._stop.set()
        for one in self._sending:
            one.result()
        self._threads.shutdown()


def roll(cloud, load, index):
    """Restart a web node, as an update does; return once it serves and images were answered since."""
    node = cloud.state.web[index]
    os.kill(node.pid, signal.SIGTERM)
    cloud.wait(lambda: cloud.state.web[index].restarts > node.restarts, 60, f"{node.name} is started again")
    cloud.wait(lambda: answers(f"{node.url}/readyz"), 60, f"{node.name} is ready again")
    await_answers(cloud, load)


def roll_workers(cloud, load):
    before = cloud.state.workers
    for pid in before.values():
        os.kill(pid, signal.SIGTERM)
    cloud.wait(lambda: cloud.state.workers and not before.keys() & cloud.state.workers.keys(), 60, "others are there")
    await_answers(cloud, load)


def await_answers(cloud, load):
    enough = len(load.answers) + SENDERS + 5
    cloud.wait(lambda: len(load.answers) >= enough, 120, "images are answered")


@pytest.mark.system
def test_up_and_down_by_a_release_under_load_loses_no_image(start, tmp_path, pictures, offline):
    release = tmp_path / "release"
    release.write_text("this")
    command = [sys.executable, str(PROGRAM), str(release), "up"]
    options = ("--max", "2", "--boot", "0.5", "--web", "2", "--set", "scaler.minimum=1")
    cloud = start(*options, command=command, patience=120)
    with Load(cloud, pictures[:50], offline) as load:
        await_answers(cloud, load)
        for name in ("newer", "this", "older"):
            release.write_text(name)
            roll(cloud, load, 0)
            roll_workers(cloud, load)
            roll(cloud, load, 1)
    assert [answer for answer in load.answers if answer.told] == []
    assert len({answer.id for answer in load.answers}) == len(load.answers)
    stored = [cloud.s3.get_object(Bucket="local-output", Key=key)["Body"].read() for key in cloud.keys("output")]
    assert {b"of_a_later_release" in one for one in stored} == {True, False}
    assert {b'"top"' in one for one in stored} == {True, False}
    for tier in ("web-1", "web-2"):
        started = [line["release"] for line in cloud.records(tier) if line["event"] == "release.started"]
        assert started == ["this", "newer", "this", "older"]
    cloud.wait(lambda: cloud.messages("requests") == (0, 0), 60, "no request is left")
    assert cloud.messages("requests-dead") == (0, 0)


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_bytes())


@pytest.mark.system
def test_a_start_on_full_queues_and_results_of_an_older_release_answers_everything(start, pictures, offline):
    cloud = start("--max", "2", "--boot", "0.5")
    (node,) = cloud.state.web
    tiers = [node.pid, cloud.state.scaler.pid]
    for pid in tiers:
        os.kill(pid, signal.SIGSTOP)
    urls = {
        queue: cloud.sqs.get_queue_url(QueueName=f"local-{queue}")["QueueUrl"]
        for queue in ("requests", "events", f"replies-{node.name}")
    }

    def send(queue, message):
        cloud.sqs.send_message(QueueUrl=urls[queue], MessageBody=json.dumps(message))

    wanted, now = {}, time.time()
    for name, data in pictures[:40]:
        one = str(uuid_utils.compat.uuid7())
        wanted[one] = offline.label(data)
        cloud.s3.put_object(Bucket="local-input", Key=f"default/{one}", Body=data)
        its = {"id": one, "key": f"default/{one}", "name": name, "tenant": "default", "received": now - 60}
        its |= {"digest": hashlib.sha256(data).hexdigest(), "reply_to": f"local-replies-{node.name}"}
        send("requests", golden("request-v1") | its | {"deadline": now + 3600})
    old = golden("reply-result-v1") | {"id": str(uuid_utils.compat.uuid7()), "tenant": "default"}
    old["result"]["id"] = old["id"]
    cloud.s3.put_object(Bucket="local-input", Key=f"default/{old['id']}", Body=b"x")
    cloud.s3.put_object(Bucket="local-output", Key=f"default/{old['id']}.json", Body=json.dumps(old).encode())
    for number in range(20):
        send(f"replies-{node.name}", old)
        send("events", golden("worker-event-v1") | {"instance": f"i-{number}", "at": now - 600})
    for pid in tiers:
        os.kill(pid, signal.SIGKILL)
    cloud.wait(lambda: cloud.state.web[0].restarts == cloud.state.scaler.restarts == 1, 60, "both are started again")
    cloud.wait(lambda: answers(f"{node.url}/readyz"), 60, "the web node is ready")
    with ThreadPoolExecutor(len(wanted)) as clients:
        places = {one: f"{node.url}/v1/images/{one}?wait=150" for one in wanted}
        asked = {one: clients.submit(requests.get, place, timeout=180) for one, place in places.items()}
        found = {one: answer.result().json()["labels"][0]["label"] for one, answer in asked.items()}
    assert found == wanted
    assert requests.get(f"{node.url}/v1/images/{old['id']}", timeout=30).json()["labels"][0]["label"] == "cat"
    cloud.wait(lambda: all(cloud.messages(queue) == (0, 0) for queue in urls), 60, "every queue is empty")
    assert cloud.messages("requests-dead") == (0, 0)
