"""The picture of the autoscaler on a terminal: pure, from a ``State`` to something that rich can draw."""

from datetime import UTC, datetime
from typing import NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from autoscaler.observation import Observation
from skylens.cli.status import spark

SHAPES = {
    "busy": ("█", "green"),
    "idle": ("▓", "cyan"),
    "ready": ("▓", "bright_cyan"),
    "booting": ("▒", "yellow"),
    "pending": ("░", "yellow"),
    "draining": ("▚", "magenta"),
    "stopping": ("▞", "magenta"),
    "free": ("·", "bright_black"),
}
"""How each state of an instance is drawn: told apart without colours too."""
LABEL = 12
"""Columns of the labels at the left."""
SILENT = 3.0
"""Seconds without a tick after which the view says so."""
ABOVE = 17
"""Lines of the view without the decisions and the log."""


class Turn(NamedTuple):
    """A decision, and the time from which it stood (Unix seconds). ``old``: active instances, ``new``: as allowed."""

    at: float
    old: int
    wanted: int
    new: int
    reason: str


class Moment(NamedTuple):
    """One tick: images that arrived in the last whole second, outstanding ones, active instances."""

    arrivals: int
    outstanding: int
    active: int


class State(NamedTuple):
    """All that is shown. Times are Unix seconds."""

    policy: str
    fleet: str
    now: float
    role: str = ""
    """leading, standby or dry run."""
    lease: str = ""
    """What there is to say of the lease."""
    seen: Observation | None = None
    """None until the first tick."""
    turns: tuple[Turn, ...] = ()
    """The decisions, latest last."""
    history: tuple[Moment, ...] = ()
    """The ticks, latest last."""
    log: tuple[str, ...] = ()
    """Lines of the log, latest last."""


def render(state: State, width: int, height: int = 40) -> RenderableType:
    """The view for a terminal of that many columns and lines."""
    seen = state.seen
    if seen is None:
        waits = "waiting to lead" if state.role == "standby" else "waiting for the first observation"
        return Group(_header(state), Text(f"\n{waits}\n", style="bright_black"), _log(state, height - 4))
    warnings = _warnings(state, seen)
    room = max(2, height - ABOVE - warnings.plain.count("\n") - bool(warnings))
    shown = max(1, min(10, room - 2))
    return Group(
        _header(state),
        _fleet(seen, width - LABEL),
        _facts(seen),
        _trends(state, width - LABEL),
        *filter(None, [warnings]),
        _turns(state, shown),
        Text(),
        _log(state, max(1, room - shown)),
    )


def _header(state: State) -> RenderableType:
    style = {"leading": "bold green", "standby": "bold yellow"}.get(state.role, "bold magenta")
    title = Text.assemble(
        ("skylens scaler", "bold"), f"  policy {state.policy}  fleet {state.fleet}  ", (state.role, style)
    )
    if state.lease:
        title.append(f"  {state.lease}", "bright_black")
    return Group(title, Rule(_clock(state.now), align="right", style="bright_black"))


def _fleet(seen: Observation, width: int) -> RenderableType:
    counts = {state: seen.count(state) for state in SHAPES if seen.count(state)}
    counts["free"] = max(0, seen.maximum - len(seen.workers))
    bar, legend = Text(), Text()
    for state, cells in _cells(counts, width).items():
        shape, style = SHAPES[state]
        bar.append(shape * cells, style)
        legend.append(f"{shape} ", style).append(f"{counts[state]} {state}  ")
    total = f"{len(seen.workers)} of {seen.maximum}"
    return _rows(("fleet", bar), (total, legend), gap=True)


def _cells(counts: dict[str, int], width: int) -> dict[str, int]:
    """Columns for each state: the same number for each instance, or, of a fleet too large for that, its share.

    Of a large fleet each state keeps at least one.
    """
    total = sum(counts.values())
    if total <= width:
        return {state: count * (width // total) for state, count in counts.items() if count}
    cells = {state: max(1, count * width // total) for state, count in counts.items() if count}
    largest = max(cells, key=lambda state: cells[state])
    cells[largest] += width - sum(cells.values())
    return cells


def _facts(seen: Observation) -> RenderableType:
    """The numbers that decisions are made from."""
    service, spending = seen.service_seconds, seen.spending
    cost = "no price known"
    if spending is not None:
        cost = f"${spending.hourly:.2f} an hour, ${spending.today:.2f} today"
    demand = f"{seen.outstanding:,} outstanding, the oldest for {seen.oldest:.1f} s; {seen.arrival_rate:.1f}/s arrive"
    work = f"{service * 1000:,.0f} ms an image" if service else "not measured"
    cpu = "CPU unknown" if seen.cpu is None else f"CPU {seen.cpu:.0f} %"
    times = f"{work}, {seen.slots} at once; boot {seen.boot_seconds:.0f} s; {cpu}"
    return _rows(("demand", demand), ("service", times), ("cost", cost), gap=True)


def _trends(state: State, width: int) -> RenderableType:
    """One character for each stretch of ticks, as high as the most in it."""
    rows = []
    for label, unit, values in zip(
        ("arrivals", "outstanding", "instances"), ("/s", "", ""), zip(*state.history, strict=True), strict=True
    ):
        most = f"{values[-1]:,}{unit}, most {max(values):,}"
        rows.append((label, Text(spark(_peaks(values, width - 24)), style="cyan").append(f" {most}", "default")))
    return _rows(*rows, gap=True)


def _peaks(values: tuple[int, ...], width: int) -> tuple[int, ...]:
    """At most ``width`` of them: the largest of each stretch, all stretches of one length but the first."""
    each = -(-len(values) // max(1, width))
    ends = range(len(values), 0, -each)
    return tuple(max(values[max(0, end - each) : end]) for end in reversed(ends))


def _warnings(state: State, seen: Observation) -> Text:
    """What should worry an operator, a line each."""
    lines = []
    if (silent := state.now - seen.at) > SILENT:
        lines.append(f"the last tick was {silent:.0f} s ago")
    for source in sorted(seen.stale):
        age = seen.ages.get(source)
        lines.append(f"{source} is stale: " + ("it never answered" if age is None else f"silent for {age:.0f} s"))
    if seen.no_capacity:
        lines.append(f"no capacity: EC2 is asked again in {seen.no_capacity:.0f} s")
    return Text("".join(f"! {line}\n" for line in lines), style="bold red")


def _turns(state: State, shown: int) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=True, padding=(0, 1))
    table.add_column("since", no_wrap=True)
    table.add_column("fleet", justify="right", no_wrap=True)
    table.add_column("wanted", justify="right", no_wrap=True)
    table.add_column("reason", ratio=1)
    for turn in reversed(state.turns[-shown:]):
        change = turn.new - turn.old
        style = "green" if change > 0 else "magenta" if change < 0 else "bright_black"
        fleet = f"{turn.old} → {turn.new}" if change else str(turn.new)
        table.add_row(
            _clock(turn.at), Text(fleet, style), str(turn.wanted), _reason(turn, whole=turn is state.turns[-1])
        )
    return table


def _reason(turn: Turn, *, whole: bool) -> Text:
    """Of past decisions, one line."""
    return Text(turn.reason, no_wrap=not whole, overflow="fold" if whole else "ellipsis")


def _log(state: State, shown: int) -> RenderableType:
    lines = [Text(line, style="bright_black", no_wrap=True, overflow="ellipsis") for line in state.log[-shown:]]
    return Group(*lines)


def _rows(*rows: tuple[str, RenderableType], gap: bool = False) -> RenderableType:
    grid = Table.grid(padding=0, expand=True)
    grid.add_column(width=LABEL, style="bold")
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for row in rows:
        grid.add_row(*row)
    return Group(grid, Text()) if gap else grid


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}Z"
