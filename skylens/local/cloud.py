"""The whole of Skylens on one machine: emulators, web nodes, autoscaler and instances, as children of one process."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from skylens.clock import Clock
from skylens.errors import SkylensError
from skylens.local import environment, group, resources, state, tiers
from skylens.local.children import Child, Say, kill, stop
from skylens.local.clients import Clients
from skylens.local.emulators import Emulators
from skylens.local.folder import RunFolder
from skylens.local.metadata import Metadata, Registry
from skylens.local.ports import Port
from skylens.local.probe import Probe
from skylens.local.runner import Runner
from skylens.local.scaling import Scaler
from skylens.local.service import Service
from skylens.local.state import State
from skylens.local.tiers import Options

TICK_SECONDS = 0.2
READY_SECONDS = 60
STOP_SECONDS = {"scaler": 5, "web": tiers.DRAIN_SECONDS + 3, "workers": 10}
"""How long the children of each step of a stop may take to leave before they are killed."""

Step = Callable[[str], AbstractContextManager[None]]
"""Wraps one named step of the start or the stop."""


class EmulatorError(SkylensError):
    code, title = "emulator-died", "An emulator died, and the embedded cloud's data with it"


@contextmanager
def _quiet(_: str) -> Iterator[None]:
    yield


class LocalCloud:
    """A context manager: entering starts everything, leaving stops everything and removes every file.

    It lives in the main thread of its own process, which has to call ``run_until`` or ``wait_until``: they are its
    supervising loop. Only there are children started, so they all die with that process (see ``children``).
    """

    def __init__(
        self,
        options: Options,
        *,
        say: Say = lambda _: None,
        step: Step = _quiet,
        stopping: Callable[[], int] = lambda: 0,
        logs: Path | None = None,
        state_file: Path | None = None,
    ) -> None:
        """``stopping``: how often a stop was asked for; a second time means to hurry. ``logs``: keep them there.

        Raises PortTakenError and SettingsError before anything is started.
        """
        self.options, self._say, self._step, self._stopping = options, say, step, stopping
        self._clock = Clock()
        self._public = [Port(options.port if index == 0 else 0) for index in range(options.web_nodes)]
        self._internal = [Port() for _ in self._public]
        if state_file:
            state.prepare(state_file)
        self.folder = RunFolder(logs)
        self._state_file = state_file
        self._written: State | None = None
        self._base = environment.base(os.environ, self.folder.temporary)
        self._emulators = Emulators(self._base, self.folder.path, self.folder.logs)
        self.environment = self._emulators.environment()
        self.clients = Clients(self.environment)
        self._registry = Registry()
        self._metadata = Metadata(self._registry)
        self._probe = Probe(lambda: bool(stopping()))
        self._runner = Runner(
            self.clients.ec2(), self._start_worker, self._registry, say, boot_seconds=options.boot_seconds
        )
        self._scaling: Scaler | None = None
        self._web: list[Service] = []
        self._scaler: Service | None = None
        self._ready = False

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Of the page and the public API of the first web node."""
        return self._public[0].url

    def log(self, name: str) -> Path:
        """The log of a child: ``scaler``, ``web-1``, ``worker-<instance>``, ``ministack``, ``moto``."""
        return self.folder.logs / f"{name}.log"

    def run_until(self, done: Callable[[], bool]) -> None:
        """Supervise until ``done``. Raises EmulatorError."""
        while not done():
            self._tick()
            self._clock.sleep(TICK_SECONDS)

    def wait_until(self, wanted: Callable[[], bool], timeout: float) -> None:
        """Supervise until ``wanted``. Raises TimeoutError after ``timeout`` seconds."""
        deadline = self._clock.ticks() + timeout

        def done() -> bool:
            if self._clock.ticks() > deadline:
                raise TimeoutError(f"not so within {timeout:g} s")
            return wanted()

        self.run_until(done)

    def state(self) -> State:
        scaler = self._scaler
        return State(
            pid=os.getpid(),
            ready=self._ready,
            deployment=self.options.deployment,
            folder=str(self.folder.path),
            logs=str(self.folder.logs),
            metadata=self._metadata.url,
            environment=self.environment,
            emulators={child.name: child.pid for child in self._emulators.children},
            web=[
                state.WebNode(
                    name=service.child.name,
                    url=public.url,
                    internal=internal.url,
                    pid=service.child.pid,
                    restarts=service.restarts,
                )
                for service, public, internal in zip(self._web, self._public, self._internal, strict=False)
            ],
            scaler=state.Scaler(pid=scaler.child.pid, restarts=scaler.restarts) if scaler else None,
            workers=self._runner.workers(),
        )

    def close(self) -> None:
        """Stop in order, each step in bounded time: autoscaler, web nodes (they drain), workers, emulators."""
        with ExitStack() as after:  # last in, first done; each is done even if one before it fails
            after.callback(self.folder.remove)
            if self._state_file:
                after.callback(self._state_file.unlink, missing_ok=True)
            for port in (*self._public, *self._internal):
                after.callback(port.close)
            after.callback(self._emulators.close)
            after.callback(self._probe.close)
            after.callback(self._metadata.close)
            after.callback(self._end_emulators)
            after.callback(self._stop, "workers", "workers", self._runner.children())
            after.callback(self._stop, "web tier", "web", [service.child for service in self._web])
            after.callback(self._stop, "autoscaler", "scaler", [self._scaler.child] if self._scaler else [])

    def _start(self) -> None:
        with self._step("AWS emulators"):
            self._metadata.start()
            self._emulators.start()
            self._emulators.await_ready(self._probe)
        with self._step("buckets, queues, launch template"):
            resources.create(self.clients, self.options.shared(), self.options.worker())
        if self.options.fleet != "ec2":
            with self._step("Auto Scaling group"):
                self._create_group()
        with self._step("web tier"):
            self._web = [Service(partial(self._start_web, index), self._say) for index in range(len(self._public))]
            for service, port in zip(self._web, self._public, strict=True):
                self._await(service.child, partial(self._probe.ok, f"{port.url}/readyz"))
        with self._step("autoscaler"):
            self._scaler = Service(self._start_scaler, self._say)
            self._await(self._scaler.child, self._has_fleet)
        self._ready = True

    def _create_group(self) -> None:
        options, name = self.options, self.options.group()
        scaling = options.scaling() if options.fleet == "alarms" else None
        group.create(self.clients, name, options.shared(), options.maximum, scaling)
        if scaling:
            clients = self.clients.autoscaling(), self.clients.cloudwatch()
            self._scaling = Scaler(*clients, name, scaling, self._registry, self._say)

    def _has_fleet(self) -> bool:
        """The autoscaler has told the first web node of its fleet; its internal address asks for no key."""
        return bool((self._probe.json(f"{self._internal[0].url}/v1/status") or {}).get("fleet"))

    def _await(self, child: Child, ready: Callable[[], bool]) -> None:
        self._probe.await_child(child, ready, READY_SECONDS)

    def _tick(self) -> None:
        for emulator in self._emulators.children:
            if not emulator.running:
                raise EmulatorError(f"{emulator.name} ended with {emulator.ending()}:\n{emulator.tail()}")
        for service in (*self._web, *([self._scaler] if self._scaler else [])):
            service.tick()
        self._runner.tick()
        if self._scaling:
            self._scaling.tick()
        now = self.state()
        if self._state_file and now != self._written:
            state.write(self._state_file, now)
            self._written = now

    def _start_web(self, index: int) -> Child:
        name = f"web-{index + 1}"
        settings = self.options.web(name, self._public[index].address, self._internal[index].address)
        return self._start_child("web", name, settings)

    def _start_scaler(self) -> Child:
        return self._start_child("scaler", "scaler", self.options.scaler([port.url for port in self._internal]))

    def _start_child(self, tier: tiers.Tier, name: str, settings: dict[str, object]) -> Child:
        variables = {**self._base, **self.environment, "AWS_EC2_METADATA_DISABLED": "true"}
        variables |= tiers.variables(settings)
        return Child.start(name, self.options.programs[tier], variables, self.log(name))

    def _start_worker(self, instance: str) -> Child:
        """A real instance has its address for metadata and its role's credentials; its settings are in user-data."""
        variables = {**self._base, **self.environment}
        variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"{self._metadata.url}/{instance}"
        name = f"worker-{instance}"
        return Child.start(name, self.options.programs["worker"], variables, self.log(name))

    def _end_emulators(self) -> None:
        """They have nothing to save and nobody to answer any more; ministack would wait for idle connections."""
        if self._emulators.children:
            with self._step("stopping emulators"):
                kill(self._emulators.children, self._say)

    def _stop(self, title: str, kind: str, children: list[Child]) -> None:
        some = [child for child in children if child.running]
        if some:
            with self._step(f"stopping {title}"):
                stop(some, STOP_SECONDS[kind], self._say, hurried=lambda: self._stopping() > 1)
