"""Takes a model's three files, and nothing else, out of a ``.tar.gz`` or ``.zip`` that nobody has to trust.

Members are read as streams and written under our own names, so no path, link or device in an archive has any effect;
one whose path points outside is refused all the same, as its maker meant harm.
"""

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from app_aws.download import LIMIT
from app_aws.registry import FILES
from skylens.errors import ModelError

_Member = tuple[str, int, IO[bytes]]
"""File name, size in bytes, and content."""
TAR, ZIP = (".tar.gz", ".tgz"), (".zip",)
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)
"""What the archive modules raise on damaged, encrypted or exotic archives."""
_DEPTH = 2
"""``folder/file`` at most."""


def unpack(archive: Path, target: Path, limit: int = LIMIT) -> None:
    """Write the model's files from the archive's top or its one folder to ``target``. Raises ModelError."""
    left = limit
    try:
        members = _zip_members(archive) if archive.name.endswith(ZIP) else _tar_members(archive)
        for name, size, content in members:
            left -= size
            if left < 0:
                raise ModelError(f"{archive.name} holds more than {limit} bytes")
            if (target / name).exists():
                raise ModelError(f"{archive.name} holds {name} twice; one model per archive")
            with content, (target / name).open("wb") as file:
                shutil.copyfileobj(content, file)
    except _DAMAGE as error:
        raise ModelError(f"{archive.name} cannot be unpacked: {error}") from error


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if _wanted(path) and member.isreg() and (content := tar.extractfile(member)):
                yield path.name, member.size, content


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            path = PurePosixPath(member.filename.replace("\\", "/"))
            if _wanted(path) and not member.is_dir():
                yield path.name, member.file_size, packed.open(member)


def _wanted(path: PurePosixPath) -> bool:
    """Whether it is one of a model's files, at the top or in one folder. Raises ModelError when it points outside."""
    if path.is_absolute() or ".." in path.parts:
        raise ModelError(f"the archive holds the path {str(path)!r}, which points outside; it is not unpacked")
    return path.name in FILES and len(path.parts) <= _DEPTH
