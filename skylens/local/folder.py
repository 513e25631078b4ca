"""The one place on disk that a run of the embedded cloud uses, gone when the run is over."""

import fcntl
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from skylens.errors import SettingsError

PREFIX = "skylens-up-"


class RunFolder:
    """A new temporary folder, marked as in use by a lock that ends with this process however it ends.

    Making one removes those of earlier runs that were killed before they could.
    """

    def __init__(self, logs: Path | None = None, parent: Path | None = None) -> None:
        """``logs``: where logs go and stay; by default in the folder. ``parent``: where the folder is made.

        Raises SettingsError, with nothing made, when logs cannot be written there.
        """
        parent = parent or Path(tempfile.gettempdir())
        if logs:
            prepare("--keep-logs", logs)
        _sweep(parent)
        unfinished = Path(tempfile.mkdtemp(prefix="skylens-new-", dir=parent))
        self._lock = (unfinished / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        name = PREFIX + unfinished.name.removeprefix("skylens-new-")
        self.path = unfinished.rename(parent / name)  # seen by other runs only now that it is locked
        self.temporary = self.path / "tmp"
        self.temporary.mkdir()
        self.logs = (logs or self.path / "logs").absolute()
        self.logs.mkdir(parents=True, exist_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def prepare(option: str, folder: Path) -> None:
    """Make ``folder``. Raises SettingsError naming the ``option`` when files cannot be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingsError(f"{option}: cannot write in {folder}: {error.strerror}") from error


def _sweep(parent: Path) -> None:
    """Remove folders whose owner is dead; those of others that we may not touch are passed over."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError), (folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
