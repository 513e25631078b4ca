"""``skylens up`` on a cloud that breaks: ``broken_cloud.py HARM.json up ...``.

The tiers reach the emulators through fault proxies; ``up`` itself and its tests reach them directly, for they stand for
AWS and for who looks at it. Some instances never boot, or boot and never work, and tiers may find their disk full.

``broken_cloud.py SECONDS scaler`` is an autoscaler to which silence means something after so many seconds.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from autoscaler import roster
from skylens.cli import main, up
from skylens.local import cloud, environment
from skylens.local.children import Child
from skylens.local.cloud import LocalCloud
from skylens.local.emulators import Emulators
from skylens.local.probe import Probe

PROXIES = Path(__file__).with_name("faults_process.py")
HERE = {"PYTHONPATH": str(PROXIES.parent)}
"""Where the proxies find their modules: children do not look where a program lies."""
FULL = "import os, sys; from resource import *; setrlimit(RLIMIT_FSIZE, (0, 0)); os.execv(sys.argv[1], sys.argv[1:])"
"""Becomes a program that can write to no file: EFBIG in the place of ENOSPC, and nobody has to be root."""
IDLE = "import signal, threading; signal.signal(signal.SIGTERM, signal.SIG_DFL); threading.Event().wait()"
"""A machine that is on, on which nothing runs."""
T = TypeVar("T")


class Harm(msgspec.Struct, frozen=True, kw_only=True):
    """Launches are counted from 1, in the order in which their boots end."""

    never_boot: tuple[int, ...] = ()
    never_work: tuple[int, ...] = ()
    """These run, and nobody ever hears of them."""
    grace: float = roster.GRACE
    """Seconds of listening before a missing ``ready`` means anything to the autoscaler."""
    full_disk: bool = False
    """No tier can write a byte to any file: not to a temporary one, and not to its log."""


class BrokenEmulators(Emulators):
    """The emulators and the proxies before them."""

    def start(self) -> None:
        super().start()
        self.children.append(self._child("faults", [str(PROXIES), self.data.url, self.control.url], HERE))

    def await_ready(self, probe: Probe) -> None:
        *emulators, proxies = self.children
        self.children = emulators
        super().await_ready(probe)
        self.children = [*emulators, proxies]
        probe.await_child(proxies, lambda: self.addresses() is not None, 30)

    def addresses(self) -> dict[str, str] | None:
        """Those that the proxies have printed."""
        said = self.children[-1].log.read_text()
        return json.loads(said) if said.endswith("}\n") else None

    def variables(self) -> Mapping[str, str]:
        """AWS variables of the tiers."""
        addresses = self.addresses() or {}
        return environment.aws(addresses["control"], addresses["data"])


class BrokenCloud(LocalCloud):
    """The whole system, with its tiers behind the proxies."""

    harm = Harm()

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self._launched: list[str] = []
        programs = dict(self.options.programs)
        programs["scaler"] = [sys.executable, __file__, str(self.harm.grace), "scaler"]
        if self.harm.full_disk:
            programs = {tier: [sys.executable, "-c", FULL, *program] for tier, program in programs.items()}
        self.options = replace(self.options, programs=programs)

    def _start_child(self, *arguments: object) -> Child:
        return self._as_tier(partial(super()._start_child, *arguments))

    def _start_worker(self, instance: str) -> Child | None:
        if instance not in self._launched:
            self._launched.append(instance)
        number = self._launched.index(instance) + 1
        if number in self.harm.never_boot:
            return None
        if number in self.harm.never_work:
            name = f"worker-{instance}"
            return Child.start(name, [sys.executable, "-c", IDLE], self._base, self.log(name))
        return self._as_tier(partial(super()._start_worker, instance))

    def _as_tier(self, start: Callable[[], T]) -> T:
        """What ``start`` makes, in the environment that a tier gets here."""
        before = self.environment
        self.environment = dict(self._emulators.variables())
        try:
            return start()
        finally:
            self.environment = before


def run(arguments: Sequence[str]) -> int:
    if arguments[1] == "scaler":
        roster.GRACE = float(arguments[0])
        return main(arguments[1:])
    BrokenCloud.harm = msgspec.json.decode(Path(arguments[0]).read_bytes(), type=Harm)
    cloud.Emulators = BrokenEmulators
    up.LocalCloud = BrokenCloud
    return main(arguments[1:])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
