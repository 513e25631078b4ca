"""A server that is not ours: its processes, its environment and its end."""

import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from peers import install, usage
from peers.system import NOTHING, Ask, Job, Running
from skylens.local.children import Child
from skylens.local.ports import Port


@dataclass(frozen=True)
class Peer:
    name: str
    ask: Ask
    commands: Sequence[Sequence[str]]
    """Arguments of its interpreter, one for each process that is started."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """``{port}``, ``{port2}`` and ``{port3}`` become free ports, ``{folder}`` a folder that is removed at the end."""
    keeps: str = NOTHING
    redis: bool = False

    def install(self) -> None:
        install.python(self.name)
        if self.redis:
            install.redis()

    @contextmanager
    def serve(self, job: Job, clients: int) -> Iterator[Running]:
        program = str(install.python(self.name))
        with tempfile.TemporaryDirectory(prefix="p", ignore_cleanup_errors=True) as folder, ExitStack() as after:
            names = {"folder": folder, **_ports("port", "port2", "port3")}
            mark, log = secrets.token_hex(8), Path(folder) / "log"
            variables = _usual() | {usage.MARK: mark, "PEERS_MODEL": str(job.about), "PEERS_CLIENTS": str(clients)}
            variables |= {
                "PEERS_PORT": names["port"],
                "PEERS_FOLDER": folder,
                "HOME": folder,
                "TMPDIR": folder,
                "PYTHONPATH": str(install.HERE),
            }
            variables |= {key: value.format_map(names) for key, value in self.variables.items()}
            beside = [after.enter_context(_redis(names["port2"], folder))] if self.redis else []
            running = Running(int(names["port"]), [], log, mark, beside, time.perf_counter())
            after.callback(_end, running)
            running.roots = [
                _start([program, *(part.format_map(names) for part in command)], variables, folder, log)
                for command in self.commands
            ]
            yield running


def _usual() -> dict[str, str]:
    """Nothing of our own variables but what a program needs; threads of libraries as all systems have them."""
    usual = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return usual | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "DO_NOT_TRACK": "1"}


def _ports(*names: str) -> dict[str, str]:
    ports = {name: Port() for name in names}
    for port in ports.values():
        port.close()
    return {name: str(port.number) for name, port in ports.items()}


def _start(command: Sequence[str], variables: Mapping[str, str], folder: str, log: Path) -> psutil.Process:
    """It dies with us, whatever ends us."""
    return psutil.Process(Child.start("peer", ["env", "-C", folder, *command], variables, log).pid)


def _end(running: Running) -> None:
    left = running.serving()
    for root in reversed(running.roots):
        usage.end(usage.family([root]))
    usage.end([one for one in left if one.is_running()], patience=0.5)


@contextmanager
def _redis(port: str, folder: str) -> Iterator[psutil.Process]:
    """Durable as its documentation recommends: an append-only file, written out each second."""
    program, libraries = install.redis()
    options = ("--port", port, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--save", "")
    process = _start([str(program), *options], _usual() | libraries, folder, Path(folder) / "redis.log")
    try:
        yield process
    finally:
        usage.end([process])
