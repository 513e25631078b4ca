"""A worker's memory does not grow with the images it has seen."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import io, random, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np, psutil
from PIL import Image
from app_aws import cpu, memory, registry
from app_aws.batcher import Batcher
from app_aws.engine import top
from skylens.errors import SkylensError

memory.keep(arenas=cpu.cores())
engine = registry.load(registry.BUNDLED / "cifar10")
batcher = Batcher(engine.infer, 8, 2, threads=cpu.cores())
batcher.start()
chance = random.Random(20)
noise = Image.effect_noise((4000, 3000), 60).convert("RGB")
pictures = []
sizes = (500, 375), (96, 96), (1280, 720), (640, 480), (375, 500), (1920, 1080), (4000, 3000), (3000, 2000)
for width, height in sizes:
    for kind in ("JPEG", "PNG", "WEBP"):
        if kind == "JPEG" or width < 1000 or (kind, width) == ("PNG", 3000):
            out = io.BytesIO()
            noise.crop((0, 0, width, height)).save(out, kind)
            pictures.append((out.getvalue(), 1e6 / (width * height)))

def one(data):
    try:
        found = batcher.submit(lambda: engine.prepare(data)).result()
    except SkylensError:
        return None
    return top(found, engine.labels, 5)[0].label

def work(count):
    chosen = chance.choices([data for data, _ in pictures], [min(weight, 4) for _, weight in pictures], k=count)
    damaged = [data[: len(data) // 2] if number % 50 == 49 else data for number, data in enumerate(chosen)]
    with ThreadPoolExecutor(4 * cpu.cores()) as pool:
        return sum(label is not None for label in pool.map(one, damaged))

process = psutil.Process()
work(1)
for data, _ in pictures:  # each at once by all threads, which chance would bring about some time later
    with ThreadPoolExecutor(4 * cpu.cores()) as pool:
        list(pool.map(one, [data] * 4 * cpu.cores()))
for count in map(int, sys.argv[1:]):
    print(work(count), process.memory_info().rss // 2**20, flush=True)
"""
"""Prints, for each count of images, how many were recognised and the resident MiB after them."""


def after(*counts, seconds):
    """Resident MiB after each so many images, of which one in fifty is damaged."""
    command = [sys.executable, "-c", SCRIPT, *map(str, counts)]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=seconds, cwd=Path(__file__).parents[2]
    )
    found = [tuple(map(int, line.split())) for line in ran.stdout.splitlines()]
    assert [done for done, _ in found] == [count - count // 50 for count in counts]
    return [megabytes for _, megabytes in found]


def test_a_few_hundred_images_of_all_sizes_leave_no_memory_behind():
    first, *_, last = after(150, 150, 150, seconds=300)
    print(f"{first} MiB after 150 images, {last} MiB after 450")
    assert last < first * 1.25 + 20
    assert last < 600


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_twenty_thousand_images_of_all_sizes_leave_no_memory_behind():
    first, *rest = after(1000, *[1000] * 19, seconds=7000)
    print(f"{first} MiB after 1,000 images, then {rest}")
    assert max(rest) < first * 1.15 + 20
