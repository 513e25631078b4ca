"""Reads a trace from a CSV file, and says what is wrong with one that is no trace."""

import csv
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from autoscaler.simulator.run import Seconds
from autoscaler.simulator.trace import Trace, TraceError

SUM = "sum"
"""Column that stands for all columns of counts, added up."""
LINES = "lines"
"""Column for files with one line for each request: lines are counted, second by second."""
MOST_BINS = 10_000_000
_MINUTES = ("minute", "minutes", "min")
_LARGEST_TIME = 1e11
"""Unix seconds of the year 5138: anything above is in milliseconds."""


class _Line(NamedTuple):
    number: int
    cells: list[str]


def read(path: Path | str, column: str | None = None) -> Trace:
    """The trace in a CSV file of times and counts, with or without a header.

    Times: ISO 8601 (UTC unless they say otherwise) or numbers of seconds, Unix or from the start; numbers of minutes
    when the header calls their column ``minute``. The bin is the most common step between two lines; times that are
    off by less than half a bin are put on the grid, and missing bins hold zero. ``column``: the header's name for the
    counts where there are several columns, ``sum`` for all of them together, or ``lines`` for a file with one line
    for each request. Raises TraceError naming file, line and value.
    """
    return _Reader(Path(path)).read(column)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, column: str | None) -> Trace:
        lines = self._lines()
        header = [name.strip() for name in lines.pop(0).cells] if lines and _is_header(lines[0].cells) else []
        if not lines:
            raise self._error("holds no data; lines of a time and a count would be right")
        times = self._times(lines, minutes=bool(header) and header[0].lower() in _MINUTES)
        if column == LINES:
            return self._counted(times)
        return self._binned(lines, times, self._counts(lines, self._columns(header, len(lines[0].cells), column)))

    def _error(self, wrong: str, line: int | None = None) -> TraceError:
        return TraceError(f"{self._path}{'' if line is None else f', line {line}'}: {wrong}")

    def _lines(self) -> list[_Line]:
        """Each line that is not blank; all have as many cells as the first."""
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.reader(file)
                lines = [_Line(rows.line_num, cells) for cells in rows if any(cell.strip() for cell in cells)]
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._error(f"is no CSV text in UTF-8: {error}") from error
        for line in lines:
            if len(line.cells) != len(lines[0].cells) or len(line.cells) == 1:
                right = "at least a time and a count" if len(line.cells) == 1 else f"{len(lines[0].cells)} as before"
                raise self._error(f"{len(line.cells)} cell(s), not {right}", line.number)
        return lines

    def _columns(self, header: list[str], width: int, column: str | None) -> list[int]:
        names = header[1:]
        if column == SUM or (column is None and width == 2):  # noqa: PLR2004 - a time and a count
            return list(range(1, width))
        if column in names:
            return [names.index(column) + 1]
        known = ", ".join([*names, SUM, LINES])
        asked = f"no column {column!r}" if column else f"{width - 1} columns of counts"
        raise self._error(f"{asked}; choose one of {known}")

    def _times(self, lines: list[_Line], *, minutes: bool) -> Seconds:
        parse = _number if _is_number(lines[0].cells[0]) else _iso
        right = "a number as before" if parse is _number else "a time like 2015-02-26 21:42:53"
        times = self._parsed(lines, 0, parse, right) * (60 if minutes else 1)
        for number, before, time in self._steps(lines, times):
            if time > _LARGEST_TIME:
                raise self._error(f"time {time:.0f} is too large for Unix seconds; milliseconds?", number)
            if time < before:
                raise self._error("its time is before that of the line above; sort the lines by time", number)
        return times

    def _steps(self, lines: list[_Line], times: Seconds) -> Iterator[tuple[int, float, float]]:
        before = float(times[0])
        for line, time in zip(lines, times.tolist(), strict=True):
            yield line.number, before, time
            before = time

    def _counts(self, lines: list[_Line], columns: list[int]) -> Seconds:
        counts = np.zeros(len(lines))
        for column in columns:
            counts += self._parsed(lines, column, _count, "a number, 0 or more")
        return counts

    def _parsed(self, lines: list[_Line], column: int, parse: Callable[[str], float], right: str) -> Seconds:
        parsed = np.empty(len(lines))
        for index, line in enumerate(lines):
            try:
                parsed[index] = parse(line.cells[column])
            except ValueError as error:
                raise self._error(f"{line.cells[column]!r} is not {right}", line.number) from error
        return parsed

    def _counted(self, times: Seconds) -> Trace:
        start = math.floor(times[0])
        self._check_length(times[-1] - start, 1.0)
        return Trace(self._path.stem, start, 1.0, np.bincount((times - start).astype(np.int64)).astype(np.float64))

    def _binned(self, lines: list[_Line], times: Seconds, counts: Seconds) -> Trace:
        if len(lines) == 1:
            raise self._error("holds a single line of data; two at least tell how long a bin is")
        width = _most_common(np.diff(times))
        if not width:
            raise self._error(f"most lines share their time with another; one line for each bin, or column {LINES!r}")
        self._check_length(times[-1] - times[0], width)
        places = np.rint((times - times[0]) / width).astype(np.int64)
        for index in np.flatnonzero(np.diff(places) == 0)[:1]:
            line = lines[index + 1]
            wrong = f"{line.cells[0]!r} falls into the bin of the line above; one line for each {width:g} s is right"
            raise self._error(wrong, line.number)
        binned = np.zeros(places[-1] + 1)
        binned[places] = counts
        return Trace(self._path.stem, float(times[0]), width, binned, missing=len(binned) - len(places))

    def _check_length(self, seconds: float, width: float) -> None:
        if seconds / width >= MOST_BINS:
            raise self._error(f"spans {seconds:.0f} s in bins of {width:g} s; at most {MOST_BINS} bins would be right")


def _most_common(steps: Seconds) -> float:
    values, counts = np.unique(np.round(steps, 3), return_counts=True)
    return float(values[counts.argmax()])


def _is_number(text: str) -> bool:
    try:
        _number(text)
    except ValueError:
        return False
    return True


def _is_header(cells: list[str]) -> bool:
    """No time in front, and not a line of counts whose time is damaged."""
    try:
        _iso(cells[0])
    except ValueError:
        return not _is_number(cells[0]) and not all(map(_is_number, cells[1:]))
    return False


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _count(text: str) -> float:
    value = _number(text)
    if value < 0:
        raise ValueError(text)
    return value


def _iso(text: str) -> float:
    """Unix seconds; UTC unless the time says otherwise."""
    time = datetime.fromisoformat(text.strip())
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
