"""Records production's arrivals second by second, in a file that `skylens simulate --trace` reads."""

import math
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from autoscaler.observation import DEMAND, Decision, Observation
from autoscaler.trouble import Troubles
from skylens.errors import SettingsError

HEADER = b"timestamp,count\n"
LINE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ),\d+")
TAIL = 4096
"""Bytes at the end of a recording that are looked at for its last line."""


def check(path: Path) -> None:
    """Before anything is started: raises SettingsError when ``path`` cannot be appended to."""
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise SettingsError(f"--record {path}: {error.strerror}; a file in a folder of yours would be right") from error


class Recorder:
    """A watcher of the loop that appends one line a second: its UTC time and the images accepted in it.

    Each second is written once, whatever ticks are late or skipped: what was missed is taken from the history that
    each observation carries. What is older than that history stays a gap. Nothing is written while demand is stale.
    Trouble with the file is said once and outlived; the next tick tries again.
    """

    def __init__(self, path: Path, troubles: Troubles) -> None:
        self._path, self._troubles = path, troubles
        self._arrivals: tuple[int, ...] = ()
        self._until = 0
        """The first second that ``_arrivals`` does not hold."""
        self._next = 0
        """The first second that was not written."""

    def saw(self, seen: Observation, wanted: Decision, allowed: Decision) -> None:
        del wanted, allowed
        if DEMAND in seen.stale:
            return
        self._align(seen)
        try:
            self._append()
        except (OSError, ValueError) as error:
            self._troubles.say("recording", "not written", f"{self._path}: {error}")
        else:
            self._troubles.say("recording", "")

    def _align(self, seen: Observation) -> None:
        """Find out which seconds the history holds.

        The seconds of a web node begin when its own clock says so, so the time of an observation may be one off: how
        far the history moved since the last one says it exactly.
        """
        due = math.floor(seen.at - seen.ages.get(DEMAND, 0.0)) - self._until
        fits = (step for step in (due, due - 1, due + 1) if _follows(self._arrivals, seen.arrivals, step))
        self._until += next(fits, due)
        self._arrivals = seen.arrivals

    def _append(self) -> None:
        """Raises OSError, and ValueError when the file is not a recording."""
        first = max(self._next, _repair(self._path))
        counts = zip(range(self._until - len(self._arrivals), self._until), self._arrivals, strict=True)
        lines = [_line(second, count) for second, count in counts if second >= first]
        if lines:
            _write(self._path, lines)
            self._next = self._until


def _follows(before: tuple[int, ...], after: tuple[int, ...], step: int) -> bool:
    """Whether ``after`` is ``before`` with ``step`` more seconds, as far as both reach."""
    common = min(len(before), len(after) - step)
    return step >= 0 and common > 0 and before[-common:] == after[len(after) - step - common : len(after) - step]


def _line(second: int, count: int) -> bytes:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ},{count}\n".encode()


def _write(path: Path, lines: Iterable[bytes]) -> None:
    with path.open("ab", buffering=0) as file:
        data = b"".join(lines)
        if file.write(data) != len(data):
            raise OSError("the disk is full")


def _repair(path: Path) -> int:
    """Make the file end with a whole line, its header at least; the first second that it does not hold.

    Raises OSError, and ValueError when the file is not a recording, which is left as it is.
    """
    path.touch()
    with path.open("r+b") as file:
        start = file.read(len(HEADER))
        if not HEADER.startswith(start):
            raise ValueError(f"not a recording: it begins with {start!r}, not with {HEADER!r}")
        if len(start) < len(HEADER):
            file.seek(0)
            file.write(HEADER)
            return 0
        return _last(file)


def _last(file: BinaryIO) -> int:
    """Cut off a line that was not written to its end; the second after that of the last whole one."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    tail = file.read()
    whole, end, torn = tail.rpartition(b"\n")
    last = whole.rpartition(b"\n")[2]
    if last + end == HEADER:
        second = -1
    elif found := LINE.fullmatch(last):
        second = int(datetime.fromisoformat(found[1].decode()).timestamp())
    else:
        raise ValueError(f"damaged: it ends with {last[-40:]!r}")
    file.truncate(size - len(torn))
    return second + 1
