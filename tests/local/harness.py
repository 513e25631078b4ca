"""A running ``skylens up`` as tests hold it: its addresses, its AWS, its processes, and what happens to its fleet.

    with Cloud(tmp_path, "--max", "4", "--set", "web.rate_limit=9/second") as cloud:
        httpx2.post(f"{cloud.url}/v1/images", content=picture)
        with cloud.watch_fleet() as fleet:
            cloud.kill_worker()
            cloud.wait(lambda: not cloud.instances(), 60, "the fleet is empty again")
        assert fleet.largest <= 4

``skylens up`` is a process of its own, started on a free port without the sample and, so that every image is work,
without the result cache; its logs are kept in ``<folder>/logs``, and a failing wait or start shows the end of what it
printed. Leaving the block stops it by SIGTERM and fails if any process or file of it is left.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import httpx2
import psutil

from skylens.instances import ALIVE
from skylens.local import state
from skylens.local.clients import Clients

UP = [sys.executable, "-m", "skylens.cli", "up"]


class Cloud:
    """One ``skylens up``. ``folder``: of the test, for logs and the state file; ``arguments``: more for ``up``."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        command: list[str] | None = None,
        environment=None,
        status: int = 0,
        patience=60,
    ) -> None:
        """``command``: another ``up`` (with stand-ins); ``environment``: variables that its caller has set.

        ``status``: the exit status that ``up`` is to end with; ``patience``: seconds until it is up.
        """
        self.folder, self.logs = folder, folder / "logs"
        self._state_file, self._output = folder / "state.json", folder / "up.txt"
        self._temporary = Path(
            tempfile.mkdtemp(prefix="skylens-test-")
        )  # short and watched: all must be gone at the end
        self._command = [*(command or UP), "--port", "0", "--no-sample", "--keep-logs", str(self.logs)]
        self._command += ["--state", str(self._state_file), "--set", "web.cache_mib=0", *arguments]
        self._environment = {**os.environ, **(environment or {}), "TMPDIR": str(self._temporary)}
        self._process = None
        self._killed, self._status, self._patience = False, status, patience

    # -- life -------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            return self.start(self._patience)
        except BaseException:
            self.kill()
            shutil.rmtree(self._temporary)
            raise

    def __exit__(self, kind, error, at) -> None:
        try:
            status = self.stop()
            left = [str(path) for path in self._temporary.rglob("*")]
        finally:
            self.kill()
            shutil.rmtree(self._temporary)
        if kind is None and not self._killed:
            assert status == self._status, f"up ended with {status}:\n{self.output()}"
            assert not left, f"left behind: {left}"

    def start(self, timeout: float = 60) -> Self:
        """Start, and return once every tier has answered."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.wait(self._is_ready, timeout, "up is ready")
        clients = Clients(self.state.environment)
        self.s3, self.sqs, self.ec2 = clients.s3(), clients.sqs(), clients.ec2()
        return self

    def stop(self, timeout: float = 60) -> int:
        """Stop it as Ctrl-C does; the exit status, once no process of it is left."""
        children = self.processes()
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(timeout)
        self.wait(lambda: not any(map(alive, children)), 10, "every child is gone", watch=False)
        return status

    def kill(self) -> list[psutil.Process]:
        """``kill -9`` of ``up`` itself; the processes that it had started."""
        children = self.processes()
        if self._process and self._process.poll() is None:
            self._killed = True
            self._process.kill()
            self._process.wait()
        return children

    def _is_ready(self) -> bool:
        found = state.read(self._state_file)
        return found is not None and found.ready

    # -- what it is -------------------------------------------------------------------------------------------------

    @property
    def state(self) -> state.State:
        """Its state file as it is now: addresses, process ids of web nodes, scaler and workers, AWS variables."""
        return state.read(self._state_file)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        """Of the first web node."""
        return self.state.web[0].url

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.state.web]

    @property
    def environment(self) -> dict[str, str]:
        """AWS variables for a process that is to use this cloud; add SKYLENS_DEPLOYMENT=local."""
        return self.state.environment

    def processes(self) -> list[psutil.Process]:
        """Every process below ``up``."""
        with suppress(psutil.NoSuchProcess, AttributeError):  # ended, or not started yet
            return psutil.Process(self._process.pid).children(recursive=True)
        return []

    def output(self) -> str:
        """What ``up`` printed."""
        return self._output.read_text()

    def log(self, name: str) -> str:
        """The log of ``web-1``, ``scaler``, ``worker-<instance>``, ``ministack``, ``moto``; empty if there is none."""
        path = self.logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def records(self, name: str) -> list[dict]:
        """The JSON lines of a log."""
        return [json.loads(line) for line in self.log(name).splitlines() if line.startswith("{") and line.endswith("}")]

    def worker_logs(self) -> dict[str, str]:
        """The log of each worker that ever ran, by instance."""
        return {path.stem.removeprefix("worker-"): path.read_text() for path in self.logs.glob("worker-*.log")}

    # -- its AWS ----------------------------------------------------------------------------------------------------

    def instances(self) -> list[str]:
        """Each instance that is not terminated: all of them count against the maximum."""
        pages = self.ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-state-name", "Values": list(ALIVE)}]
        )
        return [one["InstanceId"] for page in pages for group in page["Reservations"] for one in group["Instances"]]

    def launched(self) -> set[str]:
        """Each instance that there ever was, terminated ones included."""
        pages = self.ec2.get_paginator("describe_instances").paginate()
        return {one["InstanceId"] for page in pages for group in page["Reservations"] for one in group["Instances"]}

    def messages(self, queue: str) -> tuple[int, int]:
        """Visible and in-flight messages of ``requests``, ``requests-dead``, ``events`` or ``replies-<node>``."""
        url = self.sqs.get_queue_url(QueueName=f"{self.state.deployment}-{queue}")["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def keys(self, bucket: str) -> list[str]:
        """The keys in ``input``, ``output`` or ``state``."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=f"{self.state.deployment}-{bucket}")
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def notice(self, instance: str, item: str, text: str) -> None:
        """Let an instance's metadata say something, such as ``spot/instance-action`` before Amazon takes it back."""
        url = f"{self.state.metadata}/emulator/{instance}/{item}"
        httpx2.put(url, content=text, trust_env=False).raise_for_status()

    # -- harm -------------------------------------------------------------------------------------------------------

    def kill_worker(self, instance: str | None = None) -> str:
        """``kill -9`` of a worker (the first if none is named): to the cloud its machine is dead. The instance."""
        workers = self.state.workers
        chosen = instance or min(workers)
        os.kill(workers[chosen], signal.SIGKILL)
        return chosen

    def kill_web(self, index: int = 0) -> None:
        """``kill -9`` of a web node; returns when it is started again and ready."""
        node = self.state.web[index]
        os.kill(node.pid, signal.SIGKILL)
        self.wait(lambda: self.state.web[index].restarts > node.restarts, 30, f"{node.name} is started again")
        self.wait(lambda: answers(f"{node.url}/readyz"), 30, f"{node.name} is ready again")

    def kill_scaler(self) -> None:
        """``kill -9`` of the autoscaler; returns when it is started again."""
        before = self.state.scaler
        os.kill(before.pid, signal.SIGKILL)
        self.wait(lambda: self.state.scaler.restarts > before.restarts, 30, "the autoscaler is started again")

    @contextmanager
    def second_scaler(self, **variables: str):
        """Another autoscaler with the settings of the first, as a ``Popen``; its log is ``scaler-2``.

        ``variables``: of its environment, beside those of the first. Nobody starts it again when it dies.
        """
        environment = psutil.Process(self.state.scaler.pid).environ() | variables
        with (self.logs / "scaler-2.log").open("wb") as log:
            process = subprocess.Popen([*UP[:-1], "scaler"], env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)

    # -- waiting and watching ---------------------------------------------------------------------------------------

    def wait(self, wanted: Callable[[], object], timeout: float, claim: str, *, watch: bool = True) -> None:
        """Return once ``wanted()`` is true. Fails after ``timeout`` seconds, or (``watch``) when ``up`` has ended."""
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while not wanted():
            ended = watch and self._process.poll() is not None
            assert not ended, f"up ended with {self._process.returncode} before {claim}:\n{self.output()}"
            assert time.monotonic() < deadline, f"not within {timeout:g} s: {claim}\n{self.output()[-4000:]}"
            pause.wait(0.1)

    @contextmanager
    def watch_fleet(self, every=0.1):
        """A ``FleetWatch`` that looks every so many seconds while the block runs."""
        watch = FleetWatch(self, every)
        watch.start()
        try:
            yield watch
        finally:
            watch.stop()


class FleetWatch:
    """Counts instances now and then. ``samples``: seconds since the start, and instances that are not terminated.

    The time of a sample is that of EC2's answer: what it shows had happened by then.

    Owns one thread, ended by ``stop``; if it dies, ``stop`` raises what killed it, so that no test passes unwatched.
    """

    def __init__(self, cloud: Cloud, every: float) -> None:
        self._cloud, self._every, self._failure = cloud, every, None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fleet-watch", daemon=True)
        self._began = time.monotonic()
        self.samples: list[tuple[float, int]] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the start, as in ``samples``."""
        return time.monotonic() - self._began

    @property
    def largest(self) -> int:
        return max(size for _, size in self.samples)

    @property
    def sizes(self) -> list[int]:
        """Each size in turn, repeats left out: ``[0, 2, 4, 1, 0]``."""
        sizes = [size for _, size in self.samples]
        return [size for index, size in enumerate(sizes) if index == 0 or size != sizes[index - 1]]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()
        if self._failure:
            raise self._failure

    def _watch(self) -> None:
        due = 0.0
        try:
            while not self._done.wait(max(0.0, due - self.elapsed)):
                due = self.elapsed + self._every
                count = len(self._cloud.instances())
                self.samples.append((self.elapsed, count))
        except Exception as error:  # noqa: BLE001 - handed to the test by stop()
            self._failure = error


def answers(url: str) -> bool:
    """Whether ``url`` answers 200."""
    with suppress(httpx2.TransportError):
        return httpx2.get(url, trust_env=False, timeout=5).status_code == 200
    return False


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
