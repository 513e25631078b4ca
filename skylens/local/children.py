"""Child processes: each in its own session, with its own log, dying with this process, stopped in bounded time.

A process of its own session never gets the terminal's Ctrl-C; only this process does, and stops the rest in order.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skylens.clock import Clock
from skylens.local import child

Say = Callable[[str], None]
"""Takes one line for a person."""

REAP_SECONDS = 5
"""How long a killed process may take to vanish before we go on without it."""


@dataclass
class Child:
    """One running program. ``log`` takes its standard output and error, each start appended."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @classmethod
    def start(cls, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> "Child":
        """Start ``command`` with exactly ``environment``.

        Only the main thread may call this: Linux ties "dies with its parent" to the thread that made the child, and
        the main thread is the one that lives as long as the process.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("children are started by the main thread only")
        shim = [sys.executable, "-I", "-S", child.__file__, str(os.getpid())]
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*shim, *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def terminate(self) -> None:
        """Ask it to leave (SIGTERM)."""
        self.process.terminate()

    def kill(self) -> None:
        """End it and whatever it started in its session (SIGKILL)."""
        if self.running:  # not yet reaped, so its process group cannot be another's
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def ending(self) -> str:
        """How it ended, for a person: ``status 1`` or ``signal 9``."""
        status = self.process.returncode
        return f"signal {-status}" if status is not None and status < 0 else f"status {status}"

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def stop(
    children: Iterable[Child],
    grace: float,
    say: Say,
    *,
    clock: Clock | None = None,
    hurried: Callable[[], bool] = lambda: False,
) -> None:
    """Terminate all at once, wait up to ``grace`` seconds (not longer than ``hurried`` allows), kill the rest.

    Every process is gone and reaped afterwards; one stuck in the kernel is named and left behind.
    """
    clock = clock or Clock()
    some = list(children)
    for one in some:
        one.terminate()
    deadline = clock.ticks() + grace
    while any(one.running for one in some) and clock.ticks() < deadline and not hurried():
        clock.sleep(0.05)
    for one in some:
        if one.running:
            say(f"{one.name} (process {one.pid}) did not leave within {grace:g} s and was killed")
    kill(some, say)


def kill(children: Iterable[Child], say: Say) -> None:
    """Kill those that still run, and reap all."""
    some = list(children)
    for one in some:
        one.kill()
    for one in some:
        try:
            one.process.wait(REAP_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"{one.name} (process {one.pid}) cannot be killed and is left behind")
