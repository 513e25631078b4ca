"""One turn of one system: start, warm up, load by more and more clients, end."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from peers import load, usage
from peers.install import MissingError
from peers.system import Job, Running, System

CLIENTS = (1, 8, 64)
WARM_SECONDS = 2.0


@dataclass(frozen=True)
class Point:
    """What so many clients got, and what it cost."""

    cpu: float
    """Milliseconds of serving code's CPU an image."""
    beside: float
    """The same of what stands in for other machines' services."""
    rate: float
    """Images a second by the clock."""
    p50: float
    """Milliseconds."""
    p99: float
    wrong: int = 0
    errors: int = 0

    @property
    def images(self) -> float:
        """Images a second of CPU."""
        return 1000 / self.cpu if self.cpu else 0.0


@dataclass(frozen=True)
class Turn:
    points: dict[int, Point]
    start: float
    """Seconds from its start to the first right answer."""
    memory: float
    """MiB after the load."""
    why: str = ""
    """The first error."""


class Meter:
    """Measures systems at one job. ``scratch``: a folder for the load's files."""

    def __init__(self, job: Job, seconds: float, scratch: Path) -> None:
        self._job, self._seconds, self._scratch = job, seconds, scratch

    def turn(self, system: System) -> Turn:
        """Raises MissingError."""
        bodies = self._bodies(system)
        with system.serve(self._job, max(CLIENTS)) as running:
            start = running.await_answer(system.ask, self._job.images[0], self._job.labels[0])
            self._load(system, running, bodies, max(CLIENTS), min(WARM_SECONDS, self._seconds))
            found = {clients: self._point(system, running, bodies, clients) for clients in CLIENTS}
            memory = usage.memory(running.serving())
            why = next((why for _, why in found.values() if why), "")
            return Turn({clients: point for clients, (point, _) in found.items()}, start, memory, why)

    def _point(self, system: System, running: Running, bodies: Sequence[str], clients: int) -> tuple[Point, str]:
        before, aside = usage.cpu(running.serving()), usage.cpu(running.beside)
        got = self._load(system, running, bodies, clients, self._seconds)
        spent, beside = usage.cpu(running.serving()) - before, usage.cpu(running.beside) - aside
        each = 1000 / max(got["answers"], 1)
        rate, spans = got["answers"] / got["seconds"], (got["p50"] * 1000, got["p99"] * 1000)
        return Point(spent * each, beside * each, rate, *spans, got["wrong"], got["errors"]), got["why"]

    def _load(
        self, system: System, running: Running, bodies: Sequence[str], clients: int, seconds: float
    ) -> dict[str, Any]:
        ask = system.ask
        order = load.Order(running.port, ask.path, ask.type, bodies, self._job.labels, ask.where, clients, seconds)
        file = self._scratch / "order.json"
        file.write_text(json.dumps(asdict(order)), "utf-8")
        patience = 2 * (seconds + load.ANSWER_SECONDS)
        try:
            done = subprocess.run(
                [sys.executable, load.__file__, str(file)], capture_output=True, text=True, timeout=patience, check=True
            )
        except subprocess.SubprocessError as error:
            raise MissingError(f"the load failed: {str(error)[-200:]}") from error
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _bodies(self, system: System) -> list[str]:
        """A request's body for each image, as files."""
        folder = self._scratch / system.name
        folder.mkdir(exist_ok=True)
        files = [folder / f"{number}" for number in range(len(self._job.images))]
        for file, image in zip(files, self._job.images, strict=True):
            file.write_bytes(system.ask.encode(image))
        return [str(file) for file in files]


def middle(turns: Sequence[Turn]) -> Turn:
    """The median of each figure; wrong answers and errors are summed."""
    points = {clients: _middle([turn.points[clients] for turn in turns]) for clients in turns[0].points}
    start, memory = median(turn.start for turn in turns), median(turn.memory for turn in turns)
    return Turn(points, start, memory, next((turn.why for turn in turns if turn.why), ""))


def _middle(some: Sequence[Point]) -> Point:
    return Point(
        cpu=median(point.cpu for point in some),
        beside=median(point.beside for point in some),
        rate=median(point.rate for point in some),
        p50=median(point.p50 for point in some),
        p99=median(point.p99 for point in some),
        wrong=sum(point.wrong for point in some),
        errors=sum(point.errors for point in some),
    )
