"""Takes a model's three files, and nothing else, out of a ``.tar.gz`` or ``.zip`` that nobody has to trust.

Members are read as streams and written under our own names, so no path, link or device in an archive has any effect;
one whose path points outside is refused all the same, as its maker meant harm. Whatever is decompressed counts against
the limit, wanted or not, and what is not a file's content, which is kept in memory, against a much lower one.
"""

import gzip
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from app_aws.download import LIMIT
from app_aws.registry import FILES
from skylens.errors import ModelError

_Member = tuple[str, int, IO[bytes]]
"""File name, size in bytes, and content."""
TAR, ZIP = (".tar.gz", ".tgz"), (".zip",)
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
"""What the archive modules raise on damaged, encrypted or exotic archives."""
_DEPTH = 2
"""``folder/file`` at most."""
_HEADERS = 4 * 1024**2
"""Most bytes of a tar's headers: some thousand members."""
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""The two that ``zipfile`` decompresses piece by piece; a piece of the others may be of any size."""


def unpack(archive: Path, target: Path, limit: int = LIMIT) -> None:
    """Write the model's files from the archive's top or its one folder to ``target``. Raises ModelError."""
    left = limit
    try:
        members = _zip_members(archive) if archive.name.endswith(ZIP) else _tar_members(archive, limit)
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


class _Counted:
    """A decompressed tar as ``tarfile`` reads it: never past ``limit``, never more in all than was ``allowed``."""

    def __init__(self, stream: IO[bytes], name: str, limit: int) -> None:
        self._stream, self._name, self._limit = stream, name, limit
        self.allowed = _HEADERS

    def read(self, size: int) -> bytes:
        self.allowed -= size
        if self.allowed < 0:
            raise ModelError(f"{self._name} holds more than {_HEADERS} bytes of headers")
        self._check(self.tell() + size)
        return self._stream.read(size)

    def seek(self, position: int) -> int:
        self._check(position)
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise ModelError(f"{self._name} holds more than {self._limit} bytes")


def _tar_members(archive: Path, limit: int) -> Iterator[_Member]:
    with gzip.open(archive) as stream:
        counted = _Counted(cast("IO[bytes]", stream), archive.name, limit)
        with tarfile.open(fileobj=cast("IO[bytes]", counted), mode="r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if _wanted(path) and member.isreg() and (content := tar.extractfile(member)):
                    counted.allowed += member.size
                    yield path.name, member.size, content


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            path = PurePosixPath(member.filename.replace("\\", "/"))
            if _wanted(path) and not member.is_dir():
                if member.compress_type not in _METHODS:
                    raise ModelError(f"{archive.name}: {path} is not compressed in the usual way (deflate)")
                yield path.name, member.file_size, packed.open(member)


def _wanted(path: PurePosixPath) -> bool:
    """Whether it is one of a model's files, at the top or in one folder. Raises ModelError when it points outside."""
    if path.is_absolute() or ".." in path.parts:
        raise ModelError(f"the archive holds the path {str(path)!r}, which points outside; it is not unpacked")
    return path.name in FILES and len(path.parts) <= _DEPTH
