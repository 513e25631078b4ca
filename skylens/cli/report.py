"""What ``skylens classify`` found, written as a table, CSV, JSON or one JSON object a line."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TextIO

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from skylens.cli.journal import Journal
from skylens.client import printable
from skylens.messages import Failure, Result, Struct

PAGE = 1000
"""Rows that a table holds before it is printed; a longer run prints several."""


class Outcome(NamedTuple):
    """One image's result, or why there is none."""

    path: Path
    result: Result | None = None
    failure: Failure | None = None


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An outcome as JSON."""

    path: str
    result: Result | None = None
    error: Failure | None = None


class Report(Protocol):
    ordered: bool
    """Whether outcomes must come in the order of the files."""

    def add(self, outcome: Outcome) -> None: ...

    def close(self) -> None: ...


class NdjsonReport:
    ordered = False

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def add(self, outcome: Outcome) -> None:
        self._out.write(_json(outcome) + "\n")
        self._out.flush()

    def close(self) -> None:
        self._out.flush()


class JsonReport:
    """One array; whole and valid once closed."""

    ordered = True

    def __init__(self, out: TextIO) -> None:
        self._out, self._before = out, "[\n"

    def add(self, outcome: Outcome) -> None:
        self._out.write(self._before + _json(outcome))
        self._before = ",\n"

    def close(self) -> None:
        self._out.write("[]\n" if self._before == "[\n" else "\n]\n")
        self._out.flush()


class CsvReport:
    ordered = True

    def __init__(self, out: TextIO) -> None:
        self._out, self._rows = out, csv.writer(out, lineterminator="\n")
        self._rows.writerow(["path", "label", "score", "id", "model", "version", "error"])

    def add(self, outcome: Outcome) -> None:
        path, result = printable(outcome.path), outcome.result
        if result is None:
            self._rows.writerow([path, "", "", "", "", "", _why(outcome)])
            return
        label, score = _best(result)
        said = [printable(text) for text in (result.id, result.model.name, result.model.version)]
        self._rows.writerow([path, label, score, *said, ""])

    def close(self) -> None:
        self._out.flush()


class TableReport:
    ordered = True

    def __init__(self, out: TextIO) -> None:
        wide = None if out.isatty() else 10_000  # a file has no edge to wrap at
        self._console = Console(file=out, width=wide, highlight=False)
        self._table = self._empty()

    def _empty(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("file", overflow="fold")
        table.add_column("label", overflow="fold")
        table.add_column("score", justify="right")
        table.add_column("ms", justify="right")
        return table

    def add(self, outcome: Outcome) -> None:
        path, result = Text(printable(outcome.path)), outcome.result
        if result is None:
            self._table.add_row(path, Text(_why(outcome), style="red"), "", "")
        else:
            label, score = _best(result)
            taken = result.timings.finished - result.timings.received
            self._table.add_row(path, Text(label), score, f"{taken.total_seconds() * 1000:,.0f}")
        if self._table.row_count == PAGE:
            self._print()

    def _print(self) -> None:
        self._console.print(self._table)
        self._table = self._empty()

    def close(self) -> None:
        if self._table.row_count:
            self._print()


class Delivery:
    """Hands outcomes to a report, in the order of the files if it wants that; results wait in the journal."""

    def __init__(self, files: Sequence[Path], kept: Journal, report: Report) -> None:
        self._files, self._kept, self._report = files, kept, report
        self._next = 0
        self._waiting: dict[Path, Failure | None] = {}

    def add(self, path: Path, failure: Failure | None) -> None:
        """``failure`` None: the journal holds the result."""
        if not self._report.ordered:
            self._give(path, failure)
            return
        self._waiting[path] = failure
        while self._next < len(self._files) and self._files[self._next] in self._waiting:
            ready = self._files[self._next]
            self._give(ready, self._waiting.pop(ready))
            self._next += 1

    def _give(self, path: Path, failure: Failure | None) -> None:
        self._report.add(Outcome(path, None if failure else self._kept.result(path), failure))


FORMATS: dict[str, type[TableReport | JsonReport | CsvReport | NdjsonReport]] = {
    "table": TableReport,
    "json": JsonReport,
    "csv": CsvReport,
    "ndjson": NdjsonReport,
}


def _json(outcome: Outcome) -> str:
    item = Item(path=printable(outcome.path), result=outcome.result, error=outcome.failure)
    return msgspec.json.encode(item).decode()


def _best(result: Result) -> tuple[str, str]:
    """The best label and its score; a model may find nothing."""
    return (printable(result.labels[0].label), f"{result.labels[0].score:.4f}") if result.labels else ("", "")


def _why(outcome: Outcome) -> str:
    return outcome.failure.detail if outcome.failure else ""
