"""What the processes of a server use: CPU time and memory of whole trees."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import psutil

MARK = "PEERS_MARK"
"""A variable that all descendants of a server inherit: it finds those whose parents have ended."""


def family(roots: Iterable[psutil.Process], mark: str = "") -> list[psutil.Process]:
    """The roots that live, and all their descendants."""
    found: dict[int, psutil.Process] = {}
    for root in roots:
        try:
            found |= {one.pid: one for one in (root, *root.children(recursive=True))}
        except psutil.NoSuchProcess:
            continue
    return list((found | {one.pid: one for one in _marked(mark)}).values() if mark else found.values())


def _marked(mark: str) -> Iterable[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                yield process
        except psutil.Error:
            continue


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def cpu(processes: Sequence[psutil.Process]) -> float:
    """CPU seconds up to now, with those of children that have ended: their parents have inherited them."""
    spent = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system + times.children_user + times.children_system
    return spent


def memory(processes: Sequence[psutil.Process]) -> float:
    """MiB of memory: what several share counts once in all (PSS)."""
    held = 0
    for process in processes:
        try:
            held += process.memory_full_info().pss
        except psutil.Error:
            continue
    return held / 1024**2


def end(processes: Sequence[psutil.Process], patience: float = 10) -> None:
    """SIGTERM to the first, SIGKILL to whatever of them is left after ``patience`` seconds."""
    for process in processes[:1]:
        _quietly(process.terminate)
    _, left = psutil.wait_procs(processes, timeout=patience)
    for process in left:
        _quietly(process.kill)
    psutil.wait_procs(left, timeout=10)


def _quietly(act: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        act()
