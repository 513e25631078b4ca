"""Processes that run one at a time, step by step, and may die or meet an error at each call of a port.

Each fiber is a thread of which only one runs: it stops before and after each call that it makes of the world outside,
and goes on when it is stepped. So a test decides what happens in which order.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

_local = threading.local()


class KilledError(BaseException):
    """The process is dead: nothing in it may catch this and go on."""


class Process:
    def __init__(self, name: str) -> None:
        self.name, self.dead = name, False

    def __repr__(self) -> str:
        return self.name


class Fiber:
    """One piece of a process's work. ``then`` is told its result once it is over, unless it failed or was killed."""

    def __init__(self, process: Process, call: Callable[[], Any], then: Callable[[Any], None] = lambda _: None) -> None:
        self.process, self.over = process, False
        self.error: BaseException | None = None
        self.result: Any = None
        self._call, self._then = call, then
        self._raising: BaseException | None = None
        self._awaited: Fiber | None = None
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether a step would bring it further."""
        return not self.over and (self._awaited is None or self._awaited.over or self.process.dead)

    def step(self, raising: BaseException | None = None) -> None:
        """Let it run to its next point. ``raising``: what the call of a port that it stands at raises."""
        self._raising = None if self._awaited else raising
        self._go.release()
        self._back.acquire()

    def point(self) -> None:
        """Wait here for the next step. Called by the fiber itself."""
        self._back.release()
        self._go.acquire()
        if self.process.dead:
            raise KilledError
        raising, self._raising = self._raising, None
        if raising:
            raise raising

    def wait_for(self, other: "Fiber") -> None:
        """Wait until another fiber of this process is over. Called by this one itself."""
        while not other.over:
            self._awaited = other
            self.point()
        self._awaited = None

    def _run(self) -> None:
        _local.fiber = self
        self._go.acquire()
        try:
            if not self.process.dead:
                self._raising = None
                self.result = self._call()
                self._then(self.result)
        except BaseException as error:  # noqa: BLE001 - kept for who waits for the result
            self.error = error
        self.over = True
        self._back.release()


def point() -> None:
    """Stop the fiber that runs, if one does. A dead process gets no further."""
    fiber = getattr(_local, "fiber", None)
    if fiber is None:
        return
    if fiber.process.dead:
        raise KilledError
    fiber.point()


class Stops:
    """A port whose calls are points: before their effect, and after it."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return partial(_stopping, found) if callable(found) else found


def _stopping(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    point()
    result = call(*arguments, **options)
    point()
    return result


class Later:
    """The result of a fiber, as ``concurrent.futures.Future`` gives it."""

    def __init__(self, fiber: Fiber) -> None:
        self._fiber = fiber

    def result(self) -> Any:
        _local.fiber.wait_for(self._fiber)
        if self._fiber.error:
            raise self._fiber.error
        return self._fiber.result


class Strands:
    """An executor whose calls are fibers of one process, started by ``spawn``."""

    def __init__(self, process: Process, spawn: Callable[[Fiber], Fiber]) -> None:
        self._process, self._spawn = process, spawn

    def submit(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Later:
        return Later(self._spawn(Fiber(self._process, partial(call, *arguments, **options))))
