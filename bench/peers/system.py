"""What is compared: something that can be started, asked over HTTP, measured and ended."""

import http.client
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from peers import usage
from peers.install import MissingError
from peers.load import label

NOTHING, TASK, ALL = "nothing", "queued task, not result", "image, request and result"
"""What survives ``kill -9`` of the server between its acceptance of an image and the answer."""
READY_SECONDS, BETWEEN = 120, 0.02
"""Seconds until a server must answer rightly, and between two tries: only asking tells that it has started."""
Where = tuple[str | int, ...]


@dataclass(frozen=True)
class Ask:
    """How a system wants to be asked."""

    path: str
    where: Where = ()
    """The keys to the label in its JSON answer; none: the answer is the label."""
    type: str = "image/jpeg"
    encode: Callable[[bytes], bytes] = bytes


@dataclass(frozen=True)
class Job:
    """What all systems do. ``folder``: of the model; ``about``: the JSON file about it that ``recognise`` reads."""

    folder: Path
    about: Path
    images: Sequence[bytes]
    labels: Sequence[str]


@dataclass
class Running:
    port: int
    roots: Sequence[psutil.Process]
    """The processes of serving code; their descendants count as well."""
    log: Path
    mark: str = ""
    beside: Sequence[psutil.Process] = ()
    """What stands in for a service that another machine would run: Redis, S3 and SQS."""
    began: float = field(default_factory=time.perf_counter)

    def serving(self) -> list[psutil.Process]:
        return usage.family(self.roots, self.mark)

    def await_answer(self, ask: Ask, image: bytes, right: str) -> float:
        """Seconds from its start to the first right answer. Raises MissingError."""
        told = "no answer"
        while time.perf_counter() < self.began + READY_SECONDS:
            if not all(map(usage.alive, self.roots)):
                raise MissingError(f"ended: {self.last_words()}")
            try:
                status, body = self._post(ask, image)
                told = f"{status}: {body[:200].decode(errors='replace')}"
                if status == 200 and label(body, ask.where) == right:
                    return time.perf_counter() - self.began
            except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
                told = repr(error) if "refused" not in str(error) else told
            time.sleep(BETWEEN)
        raise MissingError(f"no right answer in {READY_SECONDS} s: {told}")

    def _post(self, ask: Ask, image: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", ask.path, ask.encode(image), {"Content-Type": ask.type})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def last_words(self) -> str:
        lines = [line.strip() for line in self.log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else "no word")[:200]


class System(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def keeps(self) -> str: ...

    @property
    def ask(self) -> Ask: ...

    def install(self) -> None:
        """Make what it needs. Raises MissingError."""
        ...

    def serve(self, job: Job, clients: int) -> AbstractContextManager[Running]:
        """Start it for at most so many clients; leaving ends it. Raises MissingError."""
        ...
