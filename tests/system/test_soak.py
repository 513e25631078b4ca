"""`make soak`: long runs. Each prints its figures."""

import io
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest
import requests
from PIL import Image
from test_kills import ask

SEED = 20
IMAGES = 6000
SIZES = {(500, 375): 8, (96, 96): 8, (1280, 720): 4, (640, 480): 8, (1920, 1080): 2, (3000, 2000): 1, (4000, 3000): 1}
"""Of the images that a worker's memory is watched with, and how often each comes."""


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


def sized():
    """Pictures of all sizes, hard to pack: (how often it comes, bytes)."""
    noise = Image.effect_noise((4000, 3000), 60).convert("RGB")
    for (width, height), often in SIZES.items():
        out = io.BytesIO()
        noise.crop((0, 0, width, height)).save(out, "JPEG")
        yield often, out.getvalue()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_workers_memory_is_flat_over_twenty_thousand_images(start):
    cloud = start("--max", "1", "--boot", "0", "--set", "scaler.minimum=1")
    often, files = zip(*sized(), strict=True)
    chance = random.Random(SEED)
    local = threading.local()

    def post(data):
        local.session = getattr(local, "session", None) or requests.Session()
        return local.session.post(f"{cloud.url}/v1/images?wait=60", data=data, headers={"Content-Type": "image/jpeg"})

    cloud.wait(lambda: cloud.state.workers, 60, "a worker is there")
    tiers = {"worker": next(iter(cloud.state.workers.values())), "web tier": cloud.state.web[0].pid}
    found = {name: [] for name in tiers}
    with ThreadPoolExecutor(24) as clients:
        for _ in range(20):
            answers = list(clients.map(post, chance.choices(files, often, k=1000)))
            assert {answer.status_code for answer in answers} == {200}
            for name, pid in tiers.items():
                found[name].append(psutil.Process(pid).memory_info().rss // 2**20)
    for name, (first, *rest) in found.items():
        print(f"{name}: {first} MiB after 1,000 images, then {rest}")
        assert max(rest) < first * 1.15 + 20
