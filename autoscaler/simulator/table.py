"""A comparison as a table for a terminal, and as CSV."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoscaler.simulator.compare import Row

TOLERANCE = 0.01
"""Share of requests over the goal, beyond what nobody can avoid, that a good policy may have."""
WIDE = 124
"""Columns of a terminal that holds all numbers beside each other."""
LEGEND = """\
Green: best of its column. Over goal: share of requests answered later. Waits: from arrival to the start of work.
θU, θO: instances missing, idle, as a share of the required ones; τU, τO: share of time with too few, too many;
instability: share of time in which the two did not move alike."""


class Reference(NamedTuple):
    """The oracle's line. ``kind``: how it was computed; ``unavoidable``: share of its requests over the goal."""

    kind: str
    cost: float
    launches: int
    unavoidable: float


class _Column(NamedTuple):
    heading: str
    value: Callable[[Row], float | None]
    form: Callable[[float], str]


def _percent(percent: float) -> str:
    """Two digits that tell, as in 12, 1.2 and 0.12."""
    return f"{percent:.0f}" if percent >= 9.95 else f"{percent:.2g}"  # noqa: PLR2004


def _amount(value: float) -> str:
    return f"{value:,.2f}" if value < 1000 else f"{value:,.0f}"  # noqa: PLR2004


def _seconds(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:,.0f}" if value >= 99.5 else f"{value:.2g}"  # noqa: PLR2004


COST = (
    _Column("inst.\nhours", lambda row: row.instance_hours, _amount),
    _Column("cost\n$", lambda row: row.cost, _amount),
    _Column("to the\noracle", lambda row: row.ratio, lambda value: f"{value:.2f}"),
    _Column("over\ngoal %", lambda row: 100 * row.late, _percent),
    _Column("mean\nwait s", lambda row: row.mean_wait, _seconds),
    _Column("p95\nwait s", lambda row: row.p95_wait, _seconds),
    _Column("p99\nwait s", lambda row: row.p99_wait, _seconds),
)
ELASTICITY = (
    _Column("launches", lambda row: row.launches, lambda value: f"{value:,.0f}"),
    _Column("θU\n%", lambda row: row.theta_u, _percent),
    _Column("θO\n%", lambda row: row.theta_o, _percent),
    _Column("τU\n%", lambda row: row.tau_u, _percent),
    _Column("τO\n%", lambda row: row.tau_o, _percent),
    _Column("insta-\nbility %", lambda row: row.instability, _percent),
)


def ranked(rows: Sequence[Row], unavoidable: float = 0.0) -> list[Row]:
    """Those within ``TOLERANCE`` first, cheapest first; then the others, by how many requests were over the goal."""
    most = unavoidable + TOLERANCE
    return sorted(rows, key=lambda row: (max(row.late, most), row.cost))


def render(rows: Sequence[Row], reference: Reference | None, width: int) -> RenderableType:
    """One table, or on a terminal of less than ``WIDE`` columns two."""
    parts = [(*COST, *ELASTICITY)] if width >= WIDE else [COST, ELASTICITY]
    unavoidable = reference.unavoidable if reference else 0.0
    winner = ranked(rows, unavoidable)[0]
    legend = f"{_praise(winner, unavoidable)} {LEGEND}"
    if reference is not None:
        legend += f"\noracle: the cheapest plan that knows all arrivals ({reference.kind})."
    return Group(*(_table(part, rows, winner, reference) for part in parts), Text(legend, style="bright_black"))


def _praise(winner: Row, unavoidable: float) -> str:
    most = f"{_percent(100 * TOLERANCE)} % over the goal" + (
        f" beyond the oracle's {_percent(100 * unavoidable)} %" if unavoidable else ""
    )
    if winner.late > unavoidable + TOLERANCE:
        return f"★ fewest over the goal; no policy has at most {most}."
    return f"★ cheapest with at most {most}."


def _table(columns: Sequence[_Column], rows: Sequence[Row], winner: Row, reference: Reference | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("policy", vertical="bottom", no_wrap=True)
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for row in rows:
        name = Text(f"{'★' if row is winner else ' '} {row.policy}", style="bold" if row is winner else "")
        table.add_row(name, *(_cell(column, row, rows) for column in columns))
    if reference is not None:
        known = _known(reference)
        table.add_section()
        table.add_row("  oracle", *(known.get(column, "") for column in columns), style="bright_black")
    return table


def _cell(column: _Column, row: Row, rows: Sequence[Row]) -> Text:
    value = column.value(row)
    if value is None:
        return Text("-")
    lowest = min(other for one in rows if (other := column.value(one)) is not None)
    return Text(column.form(value), style="green" if value == lowest else "")


def _known(reference: Reference) -> dict[_Column, str]:
    """What is known of the oracle."""
    _, cost, ratio, late = COST[:4]
    return {
        cost: _amount(reference.cost),
        ratio: "1.00",
        late: _percent(100 * reference.unavoidable),
        ELASTICITY[0]: f"{reference.launches:,}",
    }


def write(path: Path, rows: Sequence[Row]) -> None:
    """One line a policy, under the names of ``Row``'s fields. Raises OSError."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
