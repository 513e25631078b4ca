"""This instance's processors: how busy they are, as Linux counts it, and how its threads share them."""

import contextlib
import math
import os
from pathlib import Path
from typing import NamedTuple

from skylens.clock import Clock

_STEAL = 8
"""How many fields of /proc/stat make up all time: what comes after ``steal`` is part of ``user`` and ``nice``."""


class _Count(NamedTuple):
    """Processor time up to now, of one unit: ``busy`` out of ``whole``."""

    busy: float
    whole: float


class _Limit(NamedTuple):
    """A control group and how many processors it may use."""

    group: Path
    cores: float


class Cpu:
    """Asked by one thread.

    Where a control group (version 2) limits this process, its share of that limit counts; else that of the whole
    machine, which on EC2 is the instance.
    """

    def __init__(self, clock: Clock, root: Path = Path("/")) -> None:
        """``root``: where ``proc`` and ``sys`` are mounted."""
        self._clock, self._stat = clock, root / "proc/stat"
        self._limit = _tightest(root)
        self._last = self._count()

    def percent(self) -> float | None:
        """Percent of the processors that were busy since the last call, 0 to 100; None where nobody counts that."""
        last, self._last = self._last, self._count()
        if last is None or self._last is None or self._last.whole <= last.whole:
            return None
        share = (self._last.busy - last.busy) / (self._last.whole - last.whole)
        return round(100 * min(1.0, max(0.0, share)), 1)

    def _count(self) -> _Count | None:
        try:
            if self._limit:
                return _Count(_used(self._limit.group), self._limit.cores * self._clock.ticks())
            return _of_machine(self._stat.read_text())
        except (OSError, ValueError):
            return None


def cores(root: Path = Path("/")) -> int:
    """How many processors this process can keep busy: those it may run on, or fewer where a control group says so.

    Part of a processor counts as one, for there is always a thread to run.
    """
    allowed = len(os.sched_getaffinity(0))
    limit = _tightest(root)
    return max(1, min(allowed, math.ceil(limit.cores)) if limit else allowed)


def undisturbed() -> None:
    """Let no thread that wakes up push another from its core. Call it before there are threads: they inherit it.

    A worker's threads are woken some twenty times an image, mostly to go on with an answer that has time. With Linux's
    policy for batch work the thread that is at a model finishes its turn of a few milliseconds first, and the caches
    stay warm. Where the system does not allow that, all stays as it is.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _of_machine(stat: str) -> _Count:
    """Clock ticks from /proc/stat. Time stolen by the hypervisor is busy: nobody here can use it.

    Raises ValueError when it does not begin as proc_stat(5) says.
    """
    name, *fields = stat.partition("\n")[0].split()
    if name != "cpu" or len(fields) < _STEAL:
        raise ValueError("no line of all processors")
    times = [int(field) for field in fields[:_STEAL]]
    _, _, _, idle, iowait, *_ = times
    return _Count(sum(times) - idle - iowait, sum(times))


def _used(group: Path) -> float:
    """Processor seconds that a group used. Raises OSError, and ValueError when it does not say."""
    for line in (group / "cpu.stat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "usage_usec":
            return int(value) / 1e6
    raise ValueError("no usage_usec")


def _tightest(root: Path) -> _Limit | None:
    """Of the groups around this process the one with the least processor time, or None when none is limited."""
    top = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    own = next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), "")
    groups = [top / own, *(top / parent for parent in Path(own).parents)]
    limits = [_Limit(group, share) for group in groups if (share := _share(group))]
    return min(limits, key=lambda limit: limit.cores, default=None)


def _share(group: Path) -> float | None:
    """How many processors a group may use, None for all: its quota over its period."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
