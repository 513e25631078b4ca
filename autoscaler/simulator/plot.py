"""Draws what several policies made of one trace. Needs matplotlib, which the extra ``plots`` brings."""

import importlib.util
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulator.run import Counts, Run, Seconds
from skylens.errors import SkylensError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Told apart by colour-blind people too. Source: Okabe and Ito, "Color Universal Design", 2008."""
INK, FAINT = "#222222", "#8a8a8a"
MOST_POLICIES = len(COLOURS)
MOST_POINTS = 1500
SUFFIXES = (".png", ".svg", ".pdf")
DATED = 1e8
"""Unix seconds; a trace that begins earlier counts from its own start."""


class PlotError(SkylensError):
    code, title = "bad-plot", "The picture cannot be drawn"


class Picture(NamedTuple):
    """What is drawn. Series have one entry for each second.

    ``start``: of the trace, Unix seconds; ``price``: dollars an hour of one instance; ``required``: instances that the
    arrivals need; ``oracle``: the fleet of the plan that knows the future, None without one.
    """

    title: str
    start: float
    price: float
    maximum: int
    runs: Sequence[Run]
    required: Counts | None = None
    oracle: Counts | None = None


def check(path: Path, policies: int) -> None:
    """Raises PlotError when no picture of that many policies can be drawn there; cheap, for before a long run."""
    if importlib.util.find_spec("matplotlib") is None:
        raise PlotError("matplotlib is not installed; a picture needs it: pip install 'skylens[plots]'")
    if path.suffix.lower() not in SUFFIXES:
        raise PlotError(f"{path}: a picture is a file ending in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise PlotError(f"{path}: there is no directory {path.parent}")
    if policies > MOST_POLICIES:
        raise PlotError(f"{policies} policies are too many for one picture; choose up to {MOST_POLICIES}")


def save(path: Path, picture: Picture) -> None:
    """Draw it as PNG, SVG or PDF, by the file's suffix. Raises PlotError."""
    check(path, len(picture.runs))
    try:
        draw(picture).savefig(path, dpi=140)
    except OSError as error:
        raise PlotError(f"{path}: {error.strerror or error}") from error


def draw(picture: Picture) -> "Figure":
    """Arrivals and cost on top; below, for each policy its fleet and its backlog, all on the same scales."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an optional extra, and slow to import

    rows = len(picture.runs)
    figure = Figure(figsize=(13, 2.6 + 1.55 * rows), layout="constrained")
    axes = figure.subplots(rows + 1, 2, sharex=True, squeeze=False, height_ratios=[1.3, *[1] * rows])
    figure.suptitle(picture.title, x=0.008, ha="left", fontsize=11, color=INK, weight="bold")
    unit = _Unit.of(len(picture.runs[0].arrivals))
    _arrivals(axes[0, 0], picture, unit)
    _costs(axes[0, 1], picture, unit)
    for run, colour, (left, right) in zip(picture.runs, COLOURS, axes[1:], strict=False):
        _fleet(left, run, colour, picture, unit)
        _backlog(right, run, colour, unit)
    _finish(figure, axes, picture, unit)
    return figure


class _Unit(NamedTuple):
    """Of the time axis. ``step``: seconds that one drawn point stands for."""

    name: str
    seconds: float
    step: int

    @classmethod
    def of(cls, seconds: int) -> "_Unit":
        name, size = next((name, size) for name, size in _UNITS if seconds >= 3 * size or size == 1)
        return cls(name, float(size), max(1, math.ceil(seconds / MOST_POINTS)))

    def times(self, points: int) -> Seconds:
        return np.arange(points) * self.step / self.seconds

    def largest(self, series: NDArray[np.generic]) -> Seconds:
        """Of each stretch the largest, so that no peak is lost."""
        starts = np.arange(0, len(series), self.step)
        return np.maximum.reduceat(series, starts).astype(np.float64)

    def mean(self, series: NDArray[np.generic]) -> Seconds:
        starts = np.arange(0, len(series), self.step)
        lengths = np.diff(np.append(starts, len(series)))
        return np.asarray(np.add.reduceat(series, starts) / lengths, np.float64)


_UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))


def _arrivals(axes: "Axes", picture: Picture, unit: _Unit) -> None:
    series = picture.runs[0].arrivals
    mean, most = unit.mean(series), unit.largest(series)
    times = unit.times(len(mean))
    if unit.step > 1:
        axes.fill_between(times, most, color="#d9d9d9", linewidth=0, step="post")
    axes.plot(times, mean, color=INK, linewidth=0.9, drawstyle="steps-post")
    axes.set_ylim(0, max(1.0, most.max() * 1.05))
    _name(axes, "arrivals a second", "line: mean, grey: busiest second" if unit.step > 1 else "")


def _costs(axes: "Axes", picture: Picture, unit: _Unit) -> None:
    """What each policy has cost so far; what EC2 bills at least for each launch is spread over the run."""
    ends = []
    for run, colour in zip(picture.runs, COLOURS, strict=False):
        paid = np.cumsum(run.fleet, dtype=np.float64)
        total = run.cost(picture.price)
        costs = unit.largest(paid * (total / paid[-1] if paid[-1] else 0.0))
        axes.plot(unit.times(len(costs)), costs, color=colour, linewidth=1.4)
        ends.append((float(costs[-1]), f"{run.policy} ${total:,.2f}", colour))
    axes.set_ylim(0, max(0.01, *(end for end, _, _ in ends)) * 1.08)
    axes.yaxis.set_major_formatter(lambda value, _: f"${value:,.4g}")
    _label_ends(axes, ends)
    _name(axes, "cost so far", "")


def _label_ends(axes: "Axes", ends: list[tuple[float, str, str]]) -> None:
    """Name each line beside its end, moved apart where they would overlap."""
    gap = axes.get_ylim()[1] * 0.115
    places: list[float] = []
    for end, _, _ in sorted(ends):
        places.append(max(end, places[-1] + gap) if places else end)
    down = max(0.0, places[-1] - axes.get_ylim()[1] * 0.97)
    for place, (_, label, colour) in zip(places, sorted(ends), strict=True):
        axes.annotate(
            label,
            (1.01, place - down),
            xycoords=axes.get_yaxis_transform(),
            color=colour,
            va="center",
            fontsize=8.5,
            annotation_clip=False,
        )


def _fleet(axes: "Axes", run: Run, colour: str, picture: Picture, unit: _Unit) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an optional extra

    ready = unit.largest(run.ready)
    times = unit.times(len(ready))
    axes.fill_between(times, ready, color=colour, alpha=0.45, linewidth=0, step="post")
    axes.plot(times, unit.largest(run.fleet), color=colour, linewidth=0.9, drawstyle="steps-post")
    if picture.required is not None:
        needed = np.minimum(unit.largest(picture.required), picture.maximum)
        axes.plot(times, needed, color=FAINT, linewidth=0.6, linestyle=(0, (2, 1.5)), drawstyle="steps-post")
    if picture.oracle is not None:
        axes.plot(times, unit.largest(picture.oracle), color=INK, linewidth=0.9, drawstyle="steps-post")
    axes.set_ylim(0, picture.maximum * 1.12)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _name(axes, run.policy, "", colour)


def _backlog(axes: "Axes", run: Run, colour: str, unit: _Unit) -> None:
    backlog = unit.largest(run.outstanding)
    axes.fill_between(unit.times(len(backlog)), backlog, color=colour, alpha=0.7, linewidth=0, step="post")
    axes.set_yscale("symlog", linthresh=10, linscale=0.5)
    _name(axes, "", f"most {int(run.outstanding.max(initial=0)):,}")


def _name(axes: "Axes", name: str, more: str, colour: str = INK) -> None:
    axes.set_title(name, loc="left", fontsize=9, color=colour, weight="bold", pad=3)
    axes.set_title(more, loc="right", fontsize=8, color=FAINT, pad=3)


def _finish(figure: "Figure", axes: NDArray[Any], picture: Picture, unit: _Unit) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an optional extra

    top = max(10, *(int(run.outstanding.max(initial=0)) for run in picture.runs)) * 1.5
    for one in axes[1:, 1]:
        one.set_ylim(0, top)
        one.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        one.minorticks_off()
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8, colors=INK)
        one.margins(x=0)
    begin = (
        f" since {datetime.fromtimestamp(picture.start, UTC):%Y-%m-%d %H:%M:%S} UTC" if picture.start > DATED else ""
    )
    for one in axes[-1]:
        one.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 3, 6, 10]))
        one.set_xlabel(f"{unit.name}{begin}", fontsize=8.5, color=INK)
    lines = ["area: ready", "line: paid for"]
    lines += ["dashed: required"] if picture.required is not None else []
    lines += ["black: oracle"] if picture.oracle is not None else []
    axes[1, 0].set_title(f"instances ({', '.join(lines)})", loc="right", fontsize=8, color=FAINT, pad=3)
    most = axes[1, 1].get_title(loc="right")
    axes[1, 1].set_title(f"images waiting or in work; {most}", loc="right", fontsize=8, color=FAINT, pad=3)
    figure.align_ylabels()
