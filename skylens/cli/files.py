"""Which files the arguments of ``skylens classify`` mean."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from skylens.client import printable
from skylens.errors import BadRequestError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


def find(arguments: Sequence[Path]) -> list[Path]:
    """The files to send, each once. Raises BadRequestError for what is not there and when there is no image."""
    found: dict[Path, None] = {}
    for argument in arguments:
        if argument.is_dir():
            found.update(dict.fromkeys(sorted(_walk(argument))))
        elif argument.exists():
            found[argument] = None
        else:
            raise BadRequestError(f"{printable(argument)}: no such file or folder")
    if not found:
        kinds = " ".join(sorted(SUFFIXES))
        raise BadRequestError(f"no image ({kinds}) in {', '.join(map(printable, arguments))}")
    return list(found)


def _walk(folder: Path) -> Iterator[Path]:
    """Images below a folder; hidden files and folders are passed over, one that cannot be read is an error."""

    def refuse(error: OSError) -> None:
        raise BadRequestError(f"{printable(str(error.filename))}: {error.strerror}")

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(root, name)
