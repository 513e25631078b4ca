"""Waiting, with a deadline, until a child answers."""

from collections.abc import Callable
from typing import Any

import httpx2

from skylens.clock import Clock
from skylens.errors import SkylensError
from skylens.local.children import Child


class StartError(SkylensError):
    """A part of the embedded cloud did not start; the detail ends with the end of its log."""

    code, title = "start-failed", "A part of the embedded cloud did not start"


class StoppedError(SkylensError):
    code, title = "stopped", "Stopped before it was ready"


class Probe:
    """Asks children over loopback HTTP, never through a proxy. ``stopping`` says that nobody wants to wait any more."""

    def __init__(self, stopping: Callable[[], bool], clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._stopping = stopping
        self._http = httpx2.Client(trust_env=False, timeout=2)

    def ok(self, url: str) -> bool:
        """Whether ``url`` answers with 200."""
        return self._get(url) is not None

    def json(self, url: str) -> Any:
        """The JSON that ``url`` answers with 200; None when it does not."""
        got = self._get(url)
        return got and got.json()

    def _get(self, url: str) -> httpx2.Response | None:
        try:
            got = self._http.get(url)
        except httpx2.TransportError:
            return None
        return got if got.status_code == httpx2.codes.OK else None

    def await_child(self, child: Child, ready: Callable[[], bool], seconds: float) -> None:
        """Return once ``ready``. Raises StartError if the child ends or is not ready in time, StoppedError."""
        deadline = self._clock.ticks() + seconds
        while not ready():
            if not child.running:
                raise StartError(f"{child.name} ended with {child.ending()}:\n{child.tail()}")
            if self._clock.ticks() > deadline:
                raise StartError(f"{child.name} was not ready after {seconds:g} s:\n{child.tail()}")
            if self._stopping():
                raise StoppedError
            self._clock.sleep(0.05)

    def close(self) -> None:
        self._http.close()
