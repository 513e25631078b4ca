"""Images with their true labels: a folder of one folder a label, or a list of files and labels."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from skylens.errors import ModelError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_LISTS = {".tsv": "\t", ".csv": ","}
_HEADER = ("file", "label")


class Picture(NamedTuple):
    """An image file and the index of its true label; None where nobody says."""

    path: Path
    label: int | None


def read(source: Path, labels: Sequence[str]) -> list[Picture]:
    """The images of a folder or of a ``.tsv`` or ``.csv`` list, in order of their names; files are not opened.

    A folder's sub-folders are labels; images that lie directly in it have none. A list has a file, relative to
    itself, and a label on each line. A label is its text in ``labels.txt`` (case, and ``_`` for a space, do not matter)
    or its index, counted from 0. Raises ModelError naming what is no label, no image or no list.
    """
    if source.is_dir():
        found = _folder(source, labels)
    elif source.suffix.lower() in _LISTS and source.is_file():
        found = _list(source, labels)
    else:
        raise ModelError(f"{source}: expected a folder of images, or a list {' or '.join(_LISTS)} of files and labels")
    if not found:
        raise ModelError(f"{source} has no images: {', '.join(SUFFIXES)}")
    return found


def _folder(source: Path, labels: Sequence[str]) -> list[Picture]:
    known = _indices(labels)
    found = [Picture(path, None) for path in _images(source)]
    for folder in sorted(entry for entry in source.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        images = _images(folder)
        if images:
            index = _index(folder.name, known, labels, str(folder))
            found += [Picture(path, index) for path in images]
    return found


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def _list(source: Path, labels: Sequence[str]) -> list[Picture]:
    known, found = _indices(labels), []
    try:
        with source.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.reader(file, delimiter=_LISTS[source.suffix.lower()]), start=1):
                place = f"{source}, line {number}"
                if not row or (number == 1 and tuple(row[: len(_HEADER)]) == _HEADER):
                    continue
                if len(row) < len(_HEADER):
                    raise ModelError(f"{place}: expected a file and a label, not {row}")
                found.append(Picture(source.parent / row[0], _index(row[1], known, labels, place)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{source} cannot be read: {error}") from error
    return found


def _plain(label: str) -> str:
    return label.strip().replace("_", " ").casefold()


def _indices(labels: Sequence[str]) -> dict[str, int]:
    """Index by plain text; -1 where several labels have that text."""
    times = Counter(map(_plain, labels))
    return {_plain(label): index if times[_plain(label)] == 1 else -1 for index, label in enumerate(labels)}


def _index(word: str, known: dict[str, int], labels: Sequence[str], place: str) -> int:
    index = known.get(_plain(word))
    if index is None:
        if word.strip().isdecimal() and int(word) < len(labels):
            return int(word)
        raise ModelError(f"{place}: {word!r} is no label of this model; labels.txt has {_some(labels)}")
    if index < 0:
        places = [str(at) for at, label in enumerate(labels) if _plain(label) == _plain(word)]
        raise ModelError(f"{place}: there are several labels {word!r}; say which by its index, {' or '.join(places)}")
    return index


def _some(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:5])
    return shown if len(labels) <= 5 else f"{shown} and {len(labels) - 5} more"  # noqa: PLR2004 - the 5 shown
