"""Draws the pictures of docs/autoscaling.md: each policy over the same 110 minutes of made-up traffic.

The policies, the simulated fleet and the oracle are the product's own. Prints the numbers beside the pictures.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from aws_alarms import Alarms
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from autoscaler.simulator import plot
from autoscaler.simulator.arrivals import arrivals
from autoscaler.simulator.baselines import BASELINES, StaticPeak
from autoscaler.simulator.contenders import contender
from autoscaler.simulator.demand_curve import required
from autoscaler.simulator.model import Model
from autoscaler.simulator.oracle import Oracle, oracle
from autoscaler.simulator.run import Run, Seconds
from autoscaler.simulator.trace import Trace
from autoscaler.simulator.view import Scaler
from autoscaler.simulator.world import service_times, simulate
from skylens.settings import PREFIX

OUT = Path(__file__).parents[1] / "docs" / "autoscaling"
MODEL = Model()
PHASES = (
    ("quiet", 15, 5, 5),
    ("ramp", 20, 5, 200),
    ("plateau", 15, 200, 200),
    ("", 3, 200, 360),
    ("burst", 5, 360, 360),
    ("", 2, 360, 120),
    ("less", 13, 120, 120),
    ("nothing", 12, 0, 0),
    ("a jump", 10, 300, 300),
    ("quiet", 15, 5, 5),
)
"""Name, minutes, and images a second at its start and at its end."""
ABRUPT = (*PHASES[:3], ("burst", 8, 360, 360), ("less", 15, 120, 120), *PHASES[7:])
"""The same, but the burst comes and goes within a second."""
POINTS = {
    "foresight": "ready ahead of all that can be foreseen; a jump cannot",
    "target_tracking": "sized by the backlog: when that is gone, so is the fleet",
    "alarms": "AWS's own alarms: a step too late out, minutes too late in",
    "depth_cpu": "two alarms: grows with the queue, shrinks one by one",
    "greedy": "one instance for each four images: all or nothing",
    "resident": "as deficit, with one instance that never leaves",
    "deficit": "launches what waits; under steady load no worker is idle for long enough to leave",
}
"""What each picture is to show."""
INK, FAINT, READY, COMING, LATE, BACKLOG = "#222222", "#7a7a7a", "#56B4E9", "#F0E442", "#D55E00", "#b8b8b8"
"""Told apart by colour-blind people too, as ``plot.COLOURS``."""
SIZE, DPI = (8.0, 5.3), 130


class Scene(NamedTuple):
    """The traffic, and what one who knew it would make of it."""

    trace: Trace
    times: Seconds
    best: Oracle

    def play(self, scaler: Scaler) -> Run:
        return simulate(self.times, self.trace.seconds, scaler, MODEL)

    def ratio(self, run: Run) -> float:
        """Of what is billed to the least that the traffic can cost."""
        return run.billed_seconds / self.best.instance_seconds


def traffic(phases: Sequence[tuple[str, int, int, int]] = PHASES) -> Trace:
    rates = [np.linspace(first, last, 60 * minutes) for _, minutes, first, last in phases]
    return Trace("synthetic", 0.0, 1.0, np.concatenate(rates))


def scene(trace: Trace) -> Scene:
    times = arrivals(trace, np.random.default_rng(MODEL.seed))
    return Scene(trace, times, oracle(times, service_times(MODEL, len(times)), int(trace.seconds), MODEL))


def scaler(name: str, trace: Trace) -> Scaler:
    return Alarms(MODEL) if name == Alarms.name else contender(name, trace, MODEL)


def draw(run: Run, scene: Scene) -> Figure:
    """Arrivals, fleet and backlog below each other, on the same axes for every policy."""
    figure, (top, middle, bottom) = _figure(f"{run.policy}: {POINTS[run.policy]}", SIZE, [1, 1.9, 1.2])
    _arrivals(top, run)
    _fleet(middle, run, scene)
    _legend(middle, 0.36)
    _name(
        middle,
        "instances",
        f"{run.billed_seconds / 3600:.1f} instance-hours, {scene.ratio(run):.2f} times the oracle's",
    )
    _backlog(bottom, run, scene)
    return figure


def draw_others(runs: Sequence[Run], scene: Scene) -> Figure:
    """The fleets alone, one below the other."""
    heights = [1.0] * (len(runs) + 1)
    figure, (top, *rest) = _figure("Others: a fleet for the peak, and models of four systems", (8.0, 8.6), heights)
    _arrivals(top, runs[0])
    for axes, run in zip(rest, runs, strict=True):
        _fleet(axes, run, scene)
        _name(axes, run.policy, f"{scene.ratio(run):.2f} times the oracle's, {_late(run)}")
    _legend(rest[0], 0.36)
    return figure


def _figure(title: str, size: tuple[float, float], heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, color=INK, weight="bold")
    panels = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9, colors=INK)
    length = sum(minutes for _, minutes, _, _ in PHASES)
    panels[-1].set_xlim(0, length)
    panels[-1].set_xlabel("minutes", fontsize=9, color=INK)
    panels[-1].set_xticks(range(0, length + 1, 10))
    return figure, panels


def _late(run: Run) -> str:
    return f"{100 * run.late_share(MODEL.goal):.1f} % late"


def _minutes(run: Run) -> Seconds:
    return np.arange(len(run.arrivals)) / 60


def _arrivals(axes: Axes, run: Run) -> None:
    minutes = _minutes(run)
    axes.fill_between(minutes, run.arrivals, color=FAINT, linewidth=0, step="post")
    axes.set_ylim(0, 560)
    axes.set_yticks([0, 200, 400])
    _name(axes, "images a second", "")
    begin = 0
    for name, length, _, _ in PHASES:
        axes.annotate(name, (begin + length / 2, 470), ha="center", fontsize=9, color=INK)
        axes.axvline(begin, color=FAINT, linewidth=0.4, alpha=0.6)
        begin += length


def _fleet(axes: Axes, run: Run, scene: Scene) -> None:
    minutes = _minutes(run)
    axes.fill_between(minutes, run.ready, color=READY, linewidth=0, step="post", label="ready")
    axes.fill_between(minutes, run.ready, run.fleet, color=COMING, linewidth=0, step="post", label="booting")
    axes.plot(minutes, scene.best.fleet, color=INK, linewidth=1.1, drawstyle="steps-post", label="oracle's, ready")
    axes.set_ylim(0, MODEL.maximum * 1.1)
    axes.set_yticks(range(0, MODEL.maximum + 1, 5))


def _backlog(axes: Axes, run: Run, scene: Scene) -> None:
    """``late``: seconds in which some image arrived that was answered after the goal."""
    minutes = _minutes(run)
    moments = scene.times[run.latencies > MODEL.goal].astype(np.int64)
    late = np.bincount(moments, minlength=len(minutes)) > 0
    backlog = run.outstanding
    axes.fill_between(minutes, backlog, color=BACKLOG, linewidth=0, step="post", label="all in time")
    axes.fill_between(minutes, backlog, where=late, color=LATE, linewidth=0, step="post", label="some late")
    axes.set_yscale("symlog", linthresh=10, linscale=0.5)
    axes.set_ylim(0, 60000)
    axes.set_yticks([0, 10, 100, 1000, 10000], ["0", "10", "100", "1,000", "10,000"])
    axes.minorticks_off()
    _legend(axes, 0.4)
    _name(axes, "images outstanding", f"{_late(run)}: answered after more than {MODEL.goal:g} s")


def _legend(axes: Axes, centre: float) -> None:
    """Above the axes, between their two titles."""
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(centre, 0.96),
        borderpad=0.0,
        borderaxespad=0.0,
        fontsize=9,
        frameon=False,
        ncols=3,
        columnspacing=1.2,
        handlelength=1.4,
    )


def _name(axes: Axes, left: str, right: str) -> None:
    axes.set_title(left, loc="left", fontsize=9.5, color=INK, weight="bold", pad=3)
    axes.set_title(right, loc="right", fontsize=9.5, color=INK, pad=3)


def as_printed(runs: Sequence[Run], scene: Scene) -> plot.Picture:
    """What ``skylens simulate --plot`` draws."""
    seconds = int(scene.trace.seconds)
    return plot.Picture(
        title=f"{scene.trace.name}: {len(scene.times):,} requests",
        start=scene.trace.start,
        price=MODEL.price,
        maximum=MODEL.maximum,
        runs=runs,
        required=required(scene.times, service_times(MODEL, len(scene.times)), seconds, MODEL),
        oracle=scene.best.fleet,
    )


def save(path: Path, figure: Figure) -> None:
    """As PNG of a few dozen colours: they do for a drawing, and take a third of the space."""
    figure.savefig(path, dpi=DPI)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


def tell(run: Run, scene: Scene) -> None:
    p95 = np.percentile(run.waits, 95)
    print(
        f"{run.policy:16} {run.billed_seconds / 3600:6.2f} h  {scene.ratio(run):5.2f}  {_late(run):>11}  "
        f"p95 wait {p95:7.2f} s  {run.launches:4} launches"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the pictures (%(default)s)")
    out = parser.parse_args().out
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    played = scene(traffic())
    best = played.best
    print(f"oracle           {best.instance_seconds / 3600:6.2f} h ({best.kind}; its plan is billed ", end="")
    print(f"{best.billed_seconds / 3600:.2f} h), {best.launches} launches, {len(played.times):,} images")
    runs = {name: played.play(scaler(name, played.trace)) for name in (*POINTS, StaticPeak.name, *BASELINES)}
    for name, run in runs.items():
        tell(run, played)
        if name in POINTS:
            save(out / f"{name}.png", draw(run, played))
    save(out / "others.png", draw_others([runs[name] for name in (StaticPeak.name, *BASELINES)], played))
    printed = plot.draw(as_printed([runs["foresight"], runs["keda"]], played))
    printed.set_size_inches(12.2, 5.4)
    save(out / "simulate.png", printed)
    print("the same traffic, but the burst comes and goes within a second:")
    abrupt = scene(traffic(ABRUPT))
    for name in ("foresight", "depth_cpu", "knative"):
        tell(abrupt.play(scaler(name, abrupt.trace)), abrupt)


if __name__ == "__main__":
    main()
