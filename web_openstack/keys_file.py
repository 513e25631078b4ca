"""The keys file: read whole or not at all, written whole or not at all, read again when it has changed."""

import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from skylens import logs
from skylens.clock import Clock
from skylens.errors import SettingsError
from web_openstack.keyring import Keyring

log = logs.get(__name__)

LOOK = 1.0
"""Least seconds between two looks at whether the file has changed."""
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
Stamp = tuple[int, int, int, int]


def read(path: Path) -> Keyring:
    """Raises SettingsError that says what to do. Who may write the file can let himself in, so only its owner may."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read()
    except FileNotFoundError:
        raise SettingsError(f"there is no keys file {path}; make it: skylens keys --file {path} add TENANT") from None
    except OSError as error:
        raise SettingsError(f"keys file {path} cannot be read: {error.strerror}; let this user read it") from None
    if mode & OTHERS_MAY_WRITE:
        raise SettingsError(f"keys file {path} may be written by others (mode {mode & 0o777:o}): chmod go-w {path}")
    if mode & stat.S_IROTH:
        log.warning("keys.readable_by_all", path=str(path), mode=f"{mode & 0o777:o}")
    try:
        return msgspec.json.decode(data, type=Keyring).check()
    except (msgspec.DecodeError, SettingsError) as error:
        raise SettingsError(f"keys file {path} is damaged: {error}; put its last good copy back") from None


def write(path: Path, ring: Keyring) -> None:
    """Put it in the file's place, which at any moment has the old or the new one.

    A new file is its owner's alone (0600); one that is there keeps its owner, its group, and that this may read.
    Raises OSError.
    """
    old = path.stat() if path.exists() else None
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "wb") as out:
            if old is not None:
                if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(out.fileno(), old.st_uid, old.st_gid)
                os.fchmod(out.fileno(), old.st_mode & 0o640)
            out.write(msgspec.json.format(msgspec.json.encode(ring), indent=1) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    with _folder(path) as folder:
        os.fsync(folder)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only writer: waits for another one to end. Holds the folder, for the file itself is replaced."""
    with _folder(path) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)


class KeysWatch:
    """The keys as the file has them now; as they were when it was last good, if it is damaged or gone."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Raises SettingsError when there is no good file to begin with."""
        self._path, self._clock = path, clock
        self._stamp = _stamp(path)
        self._ring = read(path)
        self._next = clock.ticks() + LOOK
        self._lock = threading.Lock()

    def ring(self) -> Keyring:
        """Looks at the file at most once a second, by one thread; the others go on with what there is."""
        if self._clock.ticks() >= self._next and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._ring

    def _look(self) -> None:
        self._next = self._clock.ticks() + LOOK
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._ring = read(self._path)
        except SettingsError as error:
            log.error("keys.not_read", trouble=error.detail, in_force=len(self._ring.keys))  # noqa: TRY400 - no trace
        else:
            log.info("keys.read", keys=len(self._ring.keys), limits=len(self._ring.limits))


def _stamp(path: Path) -> Stamp | None:
    """What changes with the file: also by ``chmod``, and by a copy that keeps its time."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
