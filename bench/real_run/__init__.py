"""A trace replayed against the embedded cloud for real, and what was measured in that run."""

import heapq
import io
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "local"))
from harness import Cloud

from autoscaler.simulator.run import Seconds
from skylens.messages import Reply, read

CLIENTS = 16
LOOK_SECONDS = 0.1


class Work(NamedTuple):
    """One image; Unix seconds. ``end``: its slot was free again."""

    instance: str
    queued: float
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Real:
    """What was measured, in seconds; for each image in the order of arrival, for each instance in that of launch."""

    arrivals: Seconds
    """Since the trace began."""
    waits: Seconds
    """From arrival to the start of work."""
    occupancies: list[float]
    boots: list[float]
    """From the launch call to a ready worker."""
    leaves: list[float]
    """From being told to leave to gone, of those that were ready."""
    instance_seconds: float
    """From launch to end, until the end of the trace at most."""
    launches: int


class Census:
    """Which instances are not terminated, and when; Unix seconds."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._done = cloud, threading.Event()
        self.seen: dict[str, tuple[float, float]] = {}
        """When each was seen first, and last."""

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Look every 100 ms, in a thread that ends with the block."""
        with ThreadPoolExecutor(1) as pool:
            looking = pool.submit(self._look)
            try:
                yield
            finally:
                self._done.set()
                looking.result()

    def _look(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            for one in self._cloud.instances():
                now = time.time()
                self.seen[one] = self.seen.get(one, (now, now))[0], now

    def paid(self, until: float) -> float:
        """Instance-seconds up to ``until``, from launch to end."""
        return sum(min(last, until) - min(first, until) for first, last in self.seen.values())


class Logs:
    """When things happened, as the processes' logs tell; Unix seconds by instance."""

    def __init__(self, cloud: Cloud) -> None:
        self.launched: dict[str, float] = {}
        """In the order of launch."""
        self.ready: dict[str, float] = {}
        self.told: dict[str, float] = {}
        """To leave: by the autoscaler, or by its own idle timeout."""
        self.work: dict[str, float] = {}
        """Seconds of work on each image, by its id."""
        for record in cloud.records("scaler"):
            for one in record.get("instances", ()):
                self._note(one, record)
        for one in cloud.worker_logs():
            for record in cloud.records(f"worker-{one}"):
                self._note(one, record)

    def _note(self, one: str, record: dict[str, Any]) -> None:
        at = datetime.fromisoformat(record["timestamp"]).timestamp()
        match record["event"]:
            case "fleet.launched":
                self.launched[one] = at
            case "worker.ready":
                self.ready[one] = at
            case "fleet.drained" | "worker.draining":
                self.told.setdefault(one, at)
            case "image.done":
                self.work[record["id"]] = sum(ms for name, ms in record.items() if name.endswith("_ms")) / 1000


def occupancies(works: Sequence[Work], slots: int) -> list[float]:
    """For how long each image kept its slot from the next one; seconds. ``slots``: of each instance.

    That is its work, and also the way to the next start if one was on the queue when the work ended: the slot's
    thread gives the slot back, the receiver polls, and the message comes.
    """
    taken = [work.end - work.start for work in works]
    free: dict[str, list[tuple[float, int]]] = {}
    for index in sorted(range(len(works)), key=lambda number: works[number].start):
        work = works[index]
        end, before = heapq.heapreplace(free.setdefault(work.instance, [(-np.inf, -1)] * slots), (work.end, index))
        if work.queued <= end:
            taken[before] += work.start - end
    return taken


def replay(url: str, times: Seconds, began: float) -> None:
    """Send an image at each of ``times``, seconds after ``began``; nobody waits for an answer."""
    out = io.BytesIO()
    Image.effect_noise((32, 32), 90).save(out, "PNG")
    headers = {"Content-Type": "image/png", "Prefer": "respond-async"}
    with httpx2.Client(base_url=url, trust_env=False, timeout=60) as http, ThreadPoolExecutor(CLIENTS) as clients:
        sent = []
        for at in times.tolist():
            time.sleep(max(0.0, began + at - time.time()))
            sent.append(clients.submit(http.post, "/v1/images", content=out.getvalue(), headers=headers))
        for one in sent:
            one.result().raise_for_status()


def run_for_real(times: Seconds, seconds: float, options: Sequence[str], slots: int, folder: Path) -> Real:
    """Send an image at each of ``times`` of a trace of ``seconds`` to a ``skylens up`` with these ``options``.

    ``slots``: of each worker, as the options have it; ``folder``: for logs.
    """
    with Cloud(folder, *options) as cloud:
        census = Census(cloud)
        with census.taken():
            began = time.time() + 1
            replay(cloud.url, times, began)
            time.sleep(max(0.0, began + seconds - time.time()))
            cloud.wait(lambda: len(cloud.keys("output")) == len(times), 120, "all are answered")
        return measured(answers(cloud), Logs(cloud), census, began, seconds, slots)


def answers(cloud: Cloud) -> list[Reply]:
    """Every outcome, in the order of arrival."""
    bucket = f"{cloud.state.deployment}-output"
    bodies = [cloud.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in cloud.keys("output")]
    return sorted((read(Reply, body) for body in bodies), key=lambda reply: reply.result.timings.received)


def measured(replies: list[Reply], logs: Logs, census: Census, began: float, seconds: float, slots: int) -> Real:
    received = np.array([reply.result.timings.received.timestamp() for reply in replies])
    started = np.array([reply.result.timings.started.timestamp() for reply in replies])
    works = [
        Work(reply.worker, reply.result.timings.queued.timestamp(), start, start + logs.work[reply.id])
        for reply, start in zip(replies, started.tolist(), strict=True)
    ]
    return Real(
        arrivals=np.clip(received - began, 0, np.nextafter(seconds, 0)),
        waits=started - received,
        occupancies=occupancies(works, slots),
        boots=[logs.ready[one] - at for one, at in logs.launched.items() if one in logs.ready],
        leaves=[census.seen[one][1] - at for one, at in logs.told.items() if logs.ready.get(one, at) < at],
        instance_seconds=census.paid(began + seconds),
        launches=len(logs.launched),
    )
