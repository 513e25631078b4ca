"""A test's hold on a cloud that breaks: its plan, its figures, and who is killed."""

import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import httpx2
import msgspec
import psutil
from broken_cloud import Harm
from harness import Cloud
from plan import Plan

PROGRAM = Path(__file__).with_name("broken_cloud.py")


def command(folder, harm=None):
    """For ``Cloud(command=...)``: ``skylens up`` behind fault proxies. ``folder``: for a file that says what breaks."""
    file = folder / "harm.json"
    file.write_bytes(msgspec.json.encode(harm or Harm()))
    return [sys.executable, str(PROGRAM), str(file), "up"]


class Weather:
    """What the fault proxies of a running cloud do."""

    def __init__(self, cloud: Cloud) -> None:
        (said,) = [line for line in cloud.records("faults") if line["event"] == "faults.listening"]
        self.data, self.control, self._desk = said["data"], said["control"], said["plan"]

    def set(self, plan: Plan) -> None:
        """Let this happen from now on."""
        httpx2.put(self._desk, content=msgspec.json.encode(plan), trust_env=False).raise_for_status()

    def figures(self) -> Counter:
        """Calls and faults since the start."""
        return Counter(httpx2.get(self._desk, trust_env=False).json())


HARMS = ("worker", "worker", "web", "scaler", "spot")
"""A tier of which a process is killed, or ``spot``: Amazon takes an instance back."""


class Killer:
    """Harms a random process, by ``seed``, ``pause`` seconds after the last: in a random order, but each kind in turn.

    ``is_due``: told how many deaths there were, says whether it is time for more harm.

    Deaths are by ``kill -9``; who starts again, or was told to leave, is left alone meanwhile.

    Owns one thread, ended by ``stop``; if it dies, ``stop`` raises what killed it.
    """

    def __init__(
        self, cloud: Cloud, seed: int, pause: tuple[float, float], most: int, is_due: Callable[[int], bool]
    ) -> None:
        self._cloud, self._chance, self._pause, self._most = cloud, random.Random(seed), pause, most
        self._is_due = is_due
        self._done, self._failure = threading.Event(), None
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)
        self.kills: Counter = Counter()
        self._due: list[str] = []
        self._dead: set[psutil.Process] = set()

    @property
    def total(self) -> int:
        """Deaths by ``kill -9``. Raises what killed the thread."""
        if self._failure:
            raise self._failure
        return self.kills.total() - self.kills["spot"]

    def _run(self) -> None:
        try:
            while self.total < self._most and not self._done.wait(self._chance.uniform(*self._pause)):
                if not self._is_due(self.total):
                    continue
                self._due = self._due or self._chance.sample(HARMS, len(HARMS))
                if self._harm(self._due[-1]):
                    self.kills[self._due.pop()] += 1
        except Exception as error:  # noqa: BLE001 - handed to the test by stop()
            self._failure = error

    def _harm(self, kind: str) -> bool:
        """False when there is nobody to whom it could be done, or it left by itself meanwhile."""
        state = self._cloud.state
        workers = {pid: instance for instance, pid in sorted(state.workers.items())}
        found = {"web": [node.pid for node in state.web], "scaler": [state.scaler.pid]}.get(kind, list(workers))
        try:
            alive = [one for one in map(psutil.Process, found) if one not in self._dead]  # a number may come again
            if not alive:
                return False
            victim = self._chance.choice(alive)
            self._dead.add(victim)
            if kind == "spot":
                take_back(self._cloud, workers[victim.pid])
            else:
                victim.kill()
        except (psutil.NoSuchProcess, httpx2.HTTPStatusError):
            return False
        return True

    def stop(self) -> None:
        self._done.set()
        self._thread.join()
        if self._failure:
            raise self._failure

    @contextmanager
    def at_work(self):
        self._thread.start()
        try:
            yield self
        finally:
            self.stop()


def take_back(cloud: Cloud, instance: str) -> None:
    """Amazon's notice that a Spot instance is interrupted in two minutes; the caller ends it then, if it still is."""
    text = json.dumps({"action": "terminate", "time": "2030-01-01T00:02:00Z"})
    cloud.notice(instance, "spot/instance-action", text)
