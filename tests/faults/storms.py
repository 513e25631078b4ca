"""A test's hold on a cloud that breaks: its plan, its figures, and who is killed."""

import json
import os
import random
import signal
import sys
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import msgspec
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


class Killer:
    """``kill -9`` of a random process every ``pause`` seconds, by ``seed``; who starts again is not killed meanwhile.

    Owns one thread, ended by ``stop``; if it dies, ``stop`` raises what killed it.
    """

    def __init__(self, cloud: Cloud, seed: int, pause: tuple[float, float], most: int) -> None:
        self._cloud, self._chance, self._pause, self._most = cloud, random.Random(seed), pause, most
        self._done, self._failure = threading.Event(), None
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)
        self.kills: Counter = Counter()
        self._dead: set[int] = set()

    @property
    def total(self) -> int:
        return self.kills.total()

    def _run(self) -> None:
        try:
            while self.total < self._most and not self._done.wait(self._chance.uniform(*self._pause)):
                self._kill(self._chance.choice(["worker", "worker", "worker", "web", "web", "scaler"]))
        except Exception as error:  # noqa: BLE001 - handed to the test by stop()
            self._failure = error

    def _kill(self, tier: str) -> None:
        state = self._cloud.state
        found = {
            "worker": sorted(state.workers.values()),
            "web": [node.pid for node in state.web],
            "scaler": [state.scaler.pid],
        }[tier]
        alive = [pid for pid in found if pid not in self._dead]
        if alive:
            with suppress(ProcessLookupError):  # it left by itself meanwhile
                pid = self._chance.choice(alive)
                os.kill(pid, signal.SIGKILL)
                self._dead.add(pid)
                self.kills[tier] += 1

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
