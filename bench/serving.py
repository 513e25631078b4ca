"""What worker and web tier cost an image, plain and fast, and what a client would feel with AWS far away.

Three tables, against the local emulators, whose CPU is not counted and which run on the other half of the cores:

1. the worker alone against full queues, by CPU of its process, beside a bare loop of decoder and model (the limit);
2. the web tier alone, 64 clients posting, a stand-in for the workers answering at once, by CPU of its process;
3. web tier and worker together, one client at a time, every packet to and from the emulators delayed.

``plain``: SKYLENS_INLINE_BYTES=0; ``fast``: as it is by default. Rounds are interleaved; medians are printed.
"""

import argparse
import asyncio
import hashlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx2
import psutil
import uuid_utils.compat
from engine import SHARED, Cost, limit, others, photographs, timed

from app_aws import registry
from skylens.aws import Aws
from skylens.local import resources
from skylens.local.cloud import LocalCloud
from skylens.local.ports import Port
from skylens.local.tiers import Options, program, variables
from skylens.messages import Label, Model, Reply, Request, Result, Timings, encode, moment, read
from skylens.queues import BATCH, Outgoing, SqsQueues
from skylens.store import S3Store

INLINE = {"plain": 0, "fast": 45_000}
_CORES = sorted(os.sched_getaffinity(0))
MEASURED = set(_CORES[: max(1, len(_CORES) // 2)])
BESIDE = set(_CORES) - MEASURED or MEASURED
"""The cores of the tier that is measured, and those of the load and of what other machines would do."""
NUMBERS = itertools.count(1)
"""A name of its own for each web node: the one before left a poll behind, which would take some of its answers."""
CLIENTS, DEPLOYMENT, TENANT = 64, "bench", "default"


PROMPT = """
import asyncio, runpy, types
from ministack.services import sqs
sqs.asyncio = types.SimpleNamespace(
    iscoroutine=asyncio.iscoroutine, sleep=lambda seconds: asyncio.sleep(min(seconds, 0.002))
)
runpy.run_module("ministack", run_name="__main__", alter_sys=True)
"""
"""SQS answers a long poll when a message comes; ministack looks ten times a second, which is twice 50 ms an image."""


class Emulators(LocalCloud):
    """The local cloud without any tier."""

    def _start(self) -> None:
        self._emulators.ministack = ["-c", PROMPT]
        self._metadata.start()
        self._emulators.start()
        self._emulators.await_ready(self._probe)
        resources.create(self.clients, self.options.shared(), {})


class World:
    """Emulators, and ways to put load on them."""

    def __init__(self, cloud: Emulators, model: Path, logs: Path, cores: Collection[int] = _CORES) -> None:
        """``cores``: those that each tier may use."""
        self.variables, self._model, self._logs, self._cores = dict(cloud.environment), model, logs, cores
        os.environ.update(self.variables)
        aws = Aws("us-east-1", pool=64)
        self.queues = SqsQueues(aws.sqs(), aws.sqs_polling())
        self.requests = self.queues.named(f"{DEPLOYMENT}-requests")
        self.inputs, self.outputs = (S3Store(aws.s3(), f"{DEPLOYMENT}-{kind}") for kind in ("input", "output"))

    @contextmanager
    def tier(self, name: str, over: Mapping[str, str] | None = None, **settings: object) -> Iterator[psutil.Process]:
        """A tier as its own process, with its own settings; ``over``: other AWS endpoints."""
        common = {"deployment": DEPLOYMENT, "visibility_timeout": 60, "region": "us-east-1"}
        usual = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                program(name),  # type: ignore[arg-type]
                env=usual | self.variables | dict(over or {}) | variables(common | settings),
                stdout=log,
                stderr=log,
            )
        try:
            os.sched_setaffinity(process.pid, self._cores)  # before it has threads or counts cores
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)

    def worker(self, over: Mapping[str, str] | None = None):  # noqa: ANN201 - as tier
        return self.tier("worker", over, model=str(self._model), orphan_timeout=0)

    def fill(self, images: Sequence[bytes], reply_to: str, *, inline: int) -> None:
        """Store the images and queue their requests."""

        def one(data: bytes) -> Outgoing:
            job = str(uuid_utils.compat.uuid7())
            self.inputs.put(f"{TENANT}/{job}", data, "image/jpeg")
            now = time.time()
            request = encode(
                Request(
                    id=job,
                    key=f"{TENANT}/{job}",
                    digest=hashlib.sha256(data).hexdigest(),
                    reply_to=reply_to,
                    received=now,
                    deadline=now + 3600,
                    tenant=TENANT,
                    data=data if len(data) <= inline else b"",
                )
            )
            return Outgoing(request, TENANT)

        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(one, images))
            few = 4 if inline else BATCH
            list(pool.map(self.requests.send_many, (made[at : at + few] for at in range(0, len(made), few))))


@contextmanager
def on(cores: set[int]) -> Iterator[None]:
    """This thread, and threads that it starts, on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def used(process: psutil.Process) -> float:
    """CPU seconds of a process up to now."""
    times = process.cpu_times()
    return float(times.user + times.system)


def answers(queue, count: int) -> float:  # noqa: ANN001 - any queue
    """Take that many answers; the wall seconds from the first to the last."""
    seen, began = 0, 0.0
    while seen < count:
        found = queue.receive(BATCH, 20)
        began = began or time.perf_counter()
        seen += len(found)
        if found:
            queue.delete([one.receipt for one in found])
    return time.perf_counter() - began


def worker_cost(world: World, images: Sequence[bytes], kind: str) -> Cost:
    """Of a worker by itself, against queues that are full."""
    name = f"{DEPLOYMENT}-replies-bench"
    replies = world.queues.ensure(name, {}, 3600)
    with world.worker() as process:
        world.fill(images[:16], name, inline=INLINE[kind])
        answers(replies, 16)
        process.suspend()
        world.fill(images, name, inline=INLINE[kind])
        began = used(process)
        process.resume()
        took = answers(replies, len(images))
        return Cost((used(process) - began) * 1000 / len(images), took * 1000 / len(images))


def worker_table(world: World, images: Sequence[bytes], rounds: int, folder: Path) -> None:
    bare = limit(folder, registry.load(folder).manifest.input, len(MEASURED))
    with on(MEASURED):
        bare(images[:8])
    costs: dict[str, list[float]] = {"limit": [], "plain": [], "fast": []}
    for _ in range(rounds):
        with on(MEASURED):
            costs["limit"].append(timed(bare, images)[0].cpu)
        for kind in ("plain", "fast"):
            costs[kind].append(worker_cost(world, images, kind).cpu)
    print(f"\nworker: {len(images)} images a round, {rounds} rounds; ms of CPU an image")
    for kind, found in costs.items():
        share = statistics.median(one / other for one, other in zip(costs["limit"], found, strict=True))
        print(f"  {kind:6} {statistics.median(found):7.2f}   {share:5.2f} of the limit")


class Answerer(threading.Thread):
    """Stands in for the workers: answers each request with the same result, ten at a time."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self._world, self._stop_it = world, threading.Event()

    def run(self) -> None:
        while not self._stop_it.is_set():
            found = self._world.requests.receive(BATCH, 1)
            for name, some in itertools.groupby((read(Request, one.body) for one in found), lambda one: one.reply_to):
                self._world.queues.named(name).send_many([Outgoing(encode(reply(request))) for request in some])
            if found:
                self._world.requests.delete([one.receipt for one in found])

    def end(self) -> None:
        self._stop_it.set()
        self.join()


def reply(request: Request) -> Reply:
    now = datetime.now(UTC)
    labels = tuple(Label(label=f"label {number}", score=0.2) for number in range(5))
    timings = Timings(received=moment(request.received), queued=now, started=now, finished=now)
    model = Model(name="stand-in", version="1")
    result = Result(
        id=request.id, name=request.name, model=model, labels=labels, timings=timings, digest=request.digest
    )
    return Reply(id=request.id, tenant=request.tenant, name=request.name, worker="i-0", result=result)


@contextmanager
def door(world: World, kind: str, over: Mapping[str, str] | None = None) -> Iterator[tuple[str, psutil.Process]]:
    """A web tier that is ready: its address and its process. The same pictures come again, so its cache is off."""
    public, internal = Port(), Port()
    listen = {"listen": f"127.0.0.1:{public.number}", "internal_listen": f"127.0.0.1:{internal.number}"}
    public.close()
    internal.close()
    with world.tier(
        "web", over, inline_bytes=INLINE[kind], node=f"bench-{next(NUMBERS)}", cache_mib=0, **listen
    ) as process:
        url = f"http://{listen['listen']}"
        with httpx2.Client(trust_env=False) as client:
            for _ in range(600):
                try:
                    if client.get(f"{url}/readyz").status_code == 200:
                        break
                except httpx2.TransportError:
                    pass
                threading.Event().wait(0.05)
        yield url, process


def post(client: httpx2.Client, url: str, data: bytes) -> float:
    """Seconds until an image's answer is there."""
    began = time.perf_counter()
    got = client.post(f"{url}/v1/images?wait=60", content=data, headers={"Content-Type": "image/jpeg"})
    assert got.status_code == 200, got.text
    return time.perf_counter() - began


def web_table(world: World, images: Sequence[bytes], rounds: int, folder: Path) -> None:
    """Beside what the model takes, which says how quick this machine is."""
    bare = limit(folder, registry.load(folder).manifest.input, len(MEASURED))
    costs: dict[str, list[float]] = {"limit": [], **{kind: [] for kind in INLINE}}
    answerers = [Answerer(world) for _ in range(3)]
    for one in answerers:
        one.start()
    limits = httpx2.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    for _ in range(rounds):
        with on(MEASURED):
            costs["limit"].append(timed(bare, images)[0].cpu)
        for kind in INLINE:
            with (
                door(world, kind) as (url, process),
                httpx2.Client(trust_env=False, timeout=90, limits=limits) as client,
                ThreadPoolExecutor(CLIENTS) as pool,
            ):
                ask = partial(post, client, url)
                list(pool.map(ask, images[:CLIENTS]))
                began = used(process)
                list(pool.map(ask, images * 3))
                costs[kind].append((used(process) - began) * 1000 / (3 * len(images)))
    for one in answerers:
        one.end()
    print(f"\nweb tier at {CLIENTS} clients: {3 * len(images)} images a round, {rounds} rounds; ms of CPU an image")
    for kind, found in costs.items():
        share = statistics.median(other / one for one, other in zip(costs["limit"], found, strict=True))
        print(f"  {kind:6} {statistics.median(found):7.2f}   {share:5.2f} of the limit")


class Distance:
    """A TCP relay in a thread of its own that delays every packet, each way, by half of ``milliseconds``."""

    def __init__(self, target: int, milliseconds: float) -> None:
        self._target, self._delay, self._loop = target, milliseconds / 2000, asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._link, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, away = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._pump(reader, away), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def deliver(data: bytes) -> None:
            if data:
                writer.write(data)
            else:
                writer.close()

        try:
            while data := await reader.read(65536):
                self._loop.call_later(self._delay, deliver, data)
        except ConnectionError:
            pass
        self._loop.call_later(self._delay, deliver, b"")

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class Felt(NamedTuple):
    milliseconds: float
    kind: str
    p50: float
    p99: float


def latency_table(world: World, images: Sequence[bytes], rounds: int, distances: Sequence[float]) -> None:
    rows = []
    data = world.variables["AWS_ENDPOINT_URL_S3"]
    for milliseconds in distances:
        far = Distance(int(data.rpartition(":")[2]), milliseconds)
        over = dict.fromkeys(("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SQS"), f"http://127.0.0.1:{far.port}")
        felt: dict[str, list[float]] = {kind: [] for kind in INLINE}
        for _ in range(rounds):
            for kind in INLINE:
                with (
                    world.worker(over),
                    door(world, kind, over) as (url, _),
                    httpx2.Client(trust_env=False, timeout=90) as client,
                ):
                    for image in images[:5]:
                        post(client, url, image)
                    felt[kind] += [post(client, url, image) for image in images[: len(images) // 2]]
        far.end()
        rows += [
            Felt(milliseconds, kind, statistics.median(found), statistics.quantiles(found, n=100)[98])
            for kind, found in felt.items()
        ]
    print("\nwhat one client feels, seconds")
    for row in rows:
        plain = next(one for one in rows if (one.milliseconds, one.kind) == (row.milliseconds, "plain"))
        print(
            f"  {row.milliseconds:4.0f} ms a call  {row.kind:6} p50 {row.p50:6.3f}  p99 {row.p99:6.3f}"
            f"   {row.p50 / plain.p50:5.2f} of plain"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder (default: MobileNetV2 beside the checkout)")
    parser.add_argument("--images", type=Path, help="a folder of photographs")
    parser.add_argument("--count", type=int, default=240, help="images a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--only", choices=("worker", "web", "latency"), help="one of the tables")
    args = parser.parse_args()
    there = SHARED / "images"
    images = photographs(args.images or (there if there.is_dir() else None), quality=75)
    images = list(itertools.islice(itertools.cycle([one for one in images if len(one) <= INLINE["fast"]]), args.count))
    with tempfile.TemporaryDirectory() as name:
        folder = args.model or next(iter(others(Path(name))), registry.BUNDLED / "cifar10")
        size = statistics.median(map(len, images)) / 1024
        print(f"{folder.name}, JPEG files of {size:.0f} KiB, {len(MEASURED)} of {len(_CORES)} cores")
        os.sched_setaffinity(0, BESIDE)
        with Emulators(Options(deployment=DEPLOYMENT, web_nodes=0), logs=Path(name)) as cloud:
            world = World(cloud, folder, Path(name), MEASURED)
            if args.only in {None, "worker"}:
                worker_table(world, images, args.rounds, folder)
            if args.only in {None, "web"}:
                web_table(world, images, args.rounds, folder)
            if args.only in {None, "latency"}:
                latency_table(world, images, args.rounds, (0, 30))


if __name__ == "__main__":
    sys.exit(main())
