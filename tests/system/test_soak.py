"""`make soak`: long runs. Each prints its figures."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest
import requests
from test_kills import ask

SEED = 20
IMAGES = 6000


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_plain_requests_wait_through_a_boot_of_two_minutes(start, pictures, offline):
    cloud = start("--max", "1", "--boot", "120")
    began = time.monotonic()
    with ThreadPoolExecutor(100) as clients:
        answers = list(clients.map(lambda named: requests.post(cloud.url, files={"myfile": named}), pictures[:100]))
    print(f"100 of 100 answered after {time.monotonic() - began:.0f} s, boot of 120 s included")
    assert [answer.text for answer in answers] == [offline.label(data) for _, data in pictures[:100]]


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_thousands_of_images_while_everything_dies_now_and_then(start, pictures):
    """Some process is killed every few seconds; every image is answered once, and nobody grows."""
    chance = random.Random(SEED)
    cloud = start("--max", "3", "--boot", "1")
    done, kills = threading.Event(), []

    def storm():
        while not done.wait(chance.uniform(3, 9)):
            victim = chance.choice(["worker", "worker", "web", "scaler"])
            if victim == "worker" and cloud.state.workers:
                with suppress(ProcessLookupError, KeyError):  # it left by itself meanwhile
                    cloud.kill_worker(chance.choice(sorted(cloud.state.workers)))
            elif victim == "web":
                cloud.kill_web()
            elif victim == "scaler":
                cloud.kill_scaler()
            kills.append(victim)

    deadline = time.monotonic() + 1500
    jobs = [(f"{turn}-{name}", data + b"%d" % turn) for turn in range(IMAGES // 1000) for name, data in pictures]
    storming = threading.Thread(target=storm)
    storming.start()
    with cloud.watch_fleet() as fleet, ThreadPoolExecutor(24) as clients:
        try:
            answers = list(clients.map(lambda job: ask(cloud, *job, deadline), jobs))
        finally:
            done.set()
            storming.join()
    assert [answer.status_code for answer in answers] == [200] * len(jobs)
    bodies = [answer.json() for answer in answers]
    assert [body["name"] for body in bodies] == [name for name, _ in jobs]
    assert len({body["id"] for body in bodies}) == len(jobs)
    assert fleet.largest <= 3
    memory = psutil.Process(cloud.state.web[0].pid).memory_info().rss / 2**20
    print(f"{len(jobs)} images, {len(kills)} kills ({', '.join(kills)}), web tier at {memory:.0f} MiB")
    assert len(kills) > 5
    assert memory < 300
