"""What an interrupted run of ``skylens classify`` already has: one JSON line per result, in a file of its own."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from skylens.errors import ConflictError, MessageError
from skylens.messages import Result, Struct, decode


class Stamp(NamedTuple):
    """What tells that a file is still the one that was sent: its size in bytes and time of change."""

    size: int
    mtime_ns: int


class Entry(Struct, frozen=True, kw_only=True):
    path: str
    size: int
    mtime_ns: int
    result: Result


def stamp(path: Path) -> Stamp:
    """Raises OSError when there is no such file (any more)."""
    found = path.stat()
    return Stamp(found.st_size, found.st_mtime_ns)


def place(url: str, top: int, arguments: Sequence[Path]) -> Path:
    """The journal of this question: the same service, arguments and ``top`` find the same file from any folder."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    question = "\0".join([url, str(top), *(str(path.absolute()) for path in arguments)])
    return home / "skylens" / f"classify-{hashlib.sha256(os.fsencode(question)).hexdigest()[:32]}.jsonl"


class Journal:
    """Owned by one thread of one process. Holds only where each result lies in the file, not the results."""

    def __init__(self, file: BinaryIO, where: Path | None = None) -> None:
        """``file``: open for reading and appending. A last line that was cut off is removed."""
        self._file, self._where = file, where
        self._index: dict[str, tuple[Stamp, int]] = {}
        good = 0
        file.seek(0)
        for line in file:
            if not line.endswith(b"\n"):
                break
            self._note(line, good)
            good += len(line)
        file.truncate(good)

    def _note(self, line: bytes, offset: int) -> None:
        try:
            entry = decode(Entry, line)
        except MessageError:  # written by another release: that image is sent again
            return
        self._index[entry.path] = Stamp(entry.size, entry.mtime_ns), offset

    def holds(self, path: Path) -> bool:
        """Whether the result of this very file is here."""
        known = self._index.get(name(path))
        try:
            return known is not None and known[0] == stamp(path)
        except OSError:
            return False

    def add(self, path: Path, seen: Stamp, result: Result) -> None:
        """Keep a result; once this returns, the death of the process cannot lose it."""
        offset = self._file.seek(0, os.SEEK_END)
        entry = Entry(path=name(path), size=seen.size, mtime_ns=seen.mtime_ns, result=result)
        self._file.write(msgspec.json.encode(entry) + b"\n")
        self._file.flush()
        self._index[entry.path] = seen, offset

    def result(self, path: Path) -> Result:
        self._file.seek(self._index[name(path)][1])
        return decode(Entry, self._file.readline()).result

    def remove(self) -> None:
        """Nothing is left to do: the next run starts from nothing."""
        if self._where is not None:
            self._where.unlink(missing_ok=True)


def name(path: Path) -> str:
    """A path as text that msgspec can write, different for different paths."""
    return os.fsencode(path.absolute()).decode(errors="backslashreplace")


@contextmanager
def opened(where: Path, *, fresh: bool) -> Iterator[Journal]:
    """The journal, for this process alone. Raises ConflictError while another run of the same command has it.

    Where none can be written (no home, a read-only disk) it is a nameless one that dies with the process.
    """
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        file: BinaryIO = where.open("a+b")
    except OSError:
        with tempfile.TemporaryFile("a+b") as nameless:
            yield Journal(nameless)
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError("the same command is already running; wait for it, or stop it") from None
        if fresh:
            file.truncate(0)
        yield Journal(file, where)
