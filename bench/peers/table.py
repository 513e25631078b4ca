"""The figures as one table, and in words where Skylens is not ahead."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from peers.measure import Point, Turn
from peers.system import System

COLUMNS = ("clients", "images a CPU s", "CPU ms", "beside ms", "images/s", "p50 ms", "p99 ms", "wrong", "errors")
WIDTH = 160


class Figure(NamedTuple):
    name: str
    of: Callable[[Point], float]
    sign: int = 1
    """1: more is better; -1: less is."""


FIGURES = (
    Figure("images a CPU second", lambda point: point.images),
    Figure("images a second", lambda point: point.rate),
    Figure("p50 in ms", lambda point: point.p50, -1),
    Figure("p99 in ms", lambda point: point.p99, -1),
)


class Bare(NamedTuple):
    """A part without a server: CPU milliseconds an image, images a second."""

    cpu: float
    rate: float


def show(
    title: str,
    parts: Mapping[str, Bare],
    systems: Mapping[str, System],
    found: Mapping[str, Turn],
    missing: Mapping[str, str],
) -> None:
    """``parts``: without clients; ``found``, ``missing``: by name of the system, its figures or why it has none."""
    table = Table(title=title, title_justify="left")
    table.add_column("system")
    for name in (*COLUMNS, "MiB", "start s"):
        table.add_column(name, justify="right")
    table.add_column("kill -9 leaves")
    dash = "-"
    for name, part in parts.items():
        table.add_row(name, dash, f"{1000 / part.cpu:.1f}", f"{part.cpu:.2f}", dash, f"{part.rate:.1f}")
    for name, system in systems.items():
        table.add_section()
        if name in missing:
            table.add_row(name, *[dash] * (len(COLUMNS) + 2), "not measured, see below")
            continue
        turn = found[name]
        for row, (clients, point) in enumerate(turn.points.items()):
            whole = (f"{turn.memory:.0f}", f"{turn.start:.1f}", system.keeps) if not row else ("", "", "")
            table.add_row("" if row else name, str(clients), *_cells(point), *whole)
    console = Console(width=WIDTH, highlight=False)
    console.print(table)
    for name, why in missing.items():
        console.print(f"{name}: {why}", markup=False)
    for name, turn in found.items():
        if turn.why:
            console.print(f"{name}, its first error: {turn.why}", markup=False)
    console.print(words(found), markup=False)


def _cells(point: Point) -> tuple[str, ...]:
    spans = (f"{point.rate:.1f}", f"{point.p50:.1f}", f"{point.p99:.1f}")
    return (
        f"{point.images:.1f}",
        f"{point.cpu:.2f}",
        f"{point.beside:.2f}",
        *spans,
        f"{point.wrong}",
        f"{point.errors}",
    )


def words(found: Mapping[str, Turn]) -> str:
    """Where some peer is better than Skylens as it is by default, with both figures."""
    ours = found.get("skylens")
    peers = {name: turn for name, turn in found.items() if not name.startswith("skylens")}
    if ours is None or not peers:
        return "Nothing to compare."
    said = []
    for figure in FIGURES:
        for clients, point in ours.points.items():
            mine = figure.of(point)
            others = {
                name: figure.of(turn.points[clients]) for name, turn in peers.items() if turn.points[clients].rate
            }
            said += _better(f"{figure.name}, {clients} client{'s' * (clients > 1)}", mine, others, figure.sign)
    said += _better("memory in MiB", ours.memory, {name: turn.memory for name, turn in peers.items()}, -1)
    said += _better("start in seconds", ours.start, {name: turn.start for name, turn in peers.items()}, -1)
    return (
        "\n".join(["Where Skylens is not ahead:", *said]) if said else "Skylens is ahead of every peer in every figure."
    )


def _better(what: str, mine: float, others: Mapping[str, float], sign: int) -> list[str]:
    better = {name: value for name, value in others.items() if sign * value >= sign * mine}
    ranked = sorted(better.items(), key=lambda pair: -sign * pair[1])
    return [f"  {what}: {mine:.1f}; " + ", ".join(f"{name} {value:.1f}" for name, value in ranked)] if ranked else []
