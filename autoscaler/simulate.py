"""``skylens simulate``: what each policy would make of a recorded day."""

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from autoscaler.simulator import plot, table
from autoscaler.simulator.compare import Comparison, compare
from autoscaler.simulator.contenders import NAMES
from autoscaler.simulator.model import Model
from autoscaler.simulator.options import drawn, moment, positive, span, told, whole
from autoscaler.simulator.trace import Trace, TraceError
from autoscaler.simulator.trace_file import read
from skylens.errors import BadRequestError

MOST_REQUESTS = 50_000_000
MOST_INSTANCES = 1000
MOST_FOR_ORACLE = 100
"""Instances for which the oracle is worked out: a day of them takes it 40 s and 0.8 GB; more grow with the square."""
ALL = ", ".join(NAMES)

DESCRIPTION = """\
Replay a trace of request counts under several scaling policies, in virtual time, and compare what they cost and how
long requests wait: the policies of `skylens scaler`, models of other autoscalers, a fleet sized for the peak, and an
oracle that knows the future. A day takes a minute or two."""

EPILOG = """\
A trace is a CSV file of times and counts, with or without a header: what `skylens scaler --record` writes, a metric
exported from CloudWatch or Prometheus, a log counted by the minute. Counts are spread over their bin at random, the
same for all policies; --seed draws anew. Our policies take their parameters from SKYLENS_* variables, as the
autoscaler does (`skylens settings` lists them), but for those that are options here: goal, service time, minimum and
maximum. Budgets are not simulated.

A time is a number of seconds, or one with a unit: 90, 1.5m, 6h, 2d.

examples:
  skylens simulate --trace arrivals.csv
      all policies over what production recorded, with the numbers of the project's own comparison
  skylens simulate --trace day.csv --service 0.2:0.5 --boot 45:70 --max 50 --goal 5
      half of the images take up to 0.2 s and nine of ten up to 0.5 s; instances boot in 45 to 70 s
  skylens simulate --trace year.csv --column requests --start 2015-02-26T12:00 --duration 1d --peak 300
      one day of a longer file, as if its busiest bin had 300 requests a second
  SKYLENS_UTILISATION=0.7 skylens simulate --trace day.csv --policy foresight greedy keda --plot day.png
      three policies and their picture, with another setting of ours

exit status: 0 done, 2 wrong usage, a bad file, or a run that did not come to its end"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    default = Model()
    trace = parser.add_argument_group("the trace")
    trace.add_argument("--trace", type=Path, required=True, metavar="FILE", help="CSV file of times and counts")
    trace.add_argument("--column", help="which column counts, where there are several; `sum` adds them all up")
    trace.add_argument("--start", type=moment, metavar="TIME", help="leave out what is before; a date will do as well")
    trace.add_argument("--duration", type=span, metavar="TIME", help="how much of it to replay; by default all")
    trace.add_argument(
        "--peak", type=positive, metavar="RATE", help="scale it to this rate a second in its busiest bin"
    )
    who = parser.add_argument_group("who sizes the fleet")
    who.add_argument(
        "--policy", nargs="+", action="extend", choices=NAMES, metavar="NAME", help=f"by default all: {ALL}"
    )
    who.add_argument("--no-oracle", action="store_true", help="do without the plan that knows the future")
    fleet = parser.add_argument_group("the fleet and the service")
    fleet.add_argument(
        "--service", type=drawn, default=default.service, metavar="P50[:P90]", help="work an image (0.1)"
    )
    fleet.add_argument("--boot", type=drawn, default=default.boot, metavar="P50[:P90]", help="launch to ready (30:45)")
    fleet.add_argument(
        "--concurrency", type=whole(1), default=2, metavar="N", help="images an instance does at once (2)"
    )
    fleet.add_argument("--min", type=whole(0), default=0, metavar="N", help="fewest instances (0)")
    fleet.add_argument("--max", type=whole(1), default=20, metavar="N", help="most instances (20)")
    fleet.add_argument("--goal", type=span, default=2.0, metavar="TIME", help="from arrival to answer (2)")
    fleet.add_argument("--price", type=positive, default=default.price, metavar="DOLLARS", help="an hour (%(default)s)")
    fleet.add_argument("--seed", type=whole(0), default=1, metavar="N", help="of all that is drawn at random (1)")
    out = parser.add_argument_group("what comes out besides the table")
    out.add_argument("--plot", type=Path, metavar="FILE", help="draw arrivals, fleets, backlogs, costs: .png .svg .pdf")
    out.add_argument("--csv", type=Path, metavar="FILE", help="the table's numbers")


def run(args: argparse.Namespace) -> int:
    """Print the table on standard output; progress goes to standard error, if that is a terminal."""
    model, names = _model(args), list(dict.fromkeys(args.policy or NAMES))
    if args.plot:
        plot.check(args.plot, len(names) if args.policy else 1)
    for option, path in (("--csv", args.csv), ("--plot", args.plot)):
        _check_output(option, path, args.trace)
    trace = _trace(args)
    with _progress(len(names) + 1) as done:
        found = compare(trace, model, names, with_oracle=not args.no_oracle, done=done)
    _show(trace, found, model)
    if args.csv:
        _write(args.csv, found)
    if args.plot:
        plot.save(args.plot, _picture(found, trace, model))
    return 0


def _check_output(option: str, path: Path | None, trace: Path) -> None:
    """Before minutes of work: that what is asked for can be written, and is not the trace itself."""
    if path is None:
        return
    if path.exists() and trace.exists() and path.samefile(trace):
        raise BadRequestError(f"{option} {path} is the trace itself, which it would overwrite; name another file")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise BadRequestError(f"{option} {path} cannot be written; a file in a folder of yours would be right")


def _show(trace: Trace, found: Comparison, model: Model) -> None:
    console = Console(highlight=False)
    if not console.is_terminal and console.width < table.WIDE:
        console = Console(highlight=False, width=table.WIDE)
    console.print(_title(trace, found, model), soft_wrap=not console.is_terminal)
    console.print(table.render(found.rows, _reference(found, model), console.width))


def _model(args: argparse.Namespace) -> Model:
    if args.min > args.max:
        raise BadRequestError(f"--min {args.min} is above --max {args.max}")
    if args.max > MOST_INSTANCES:
        raise BadRequestError(f"--max {args.max} is above {MOST_INSTANCES}, the most that the autoscaler takes")
    if args.max > MOST_FOR_ORACLE and not args.no_oracle:
        raise BadRequestError(
            f"--max {args.max}: the oracle is worked out for at most {MOST_FOR_ORACLE} instances; add --no-oracle"
        )
    return Model(
        service=args.service,
        boot=args.boot,
        concurrency=args.concurrency,
        minimum=args.min,
        maximum=args.max,
        goal=args.goal,
        price=args.price,
        seed=args.seed,
    )


def _trace(args: argparse.Namespace) -> Trace:
    """The file's window, scaled. Raises TraceError."""
    trace = read(args.trace, args.column)
    trace = _window(trace, args.start, args.duration)
    trace = trace.scaled(args.peak) if args.peak else trace
    if (requests := float(trace.counts.sum())) > MOST_REQUESTS:
        raise TraceError(
            f"{trace.name} has {requests:,.0f} requests; at most {MOST_REQUESTS:,} are replayed: "
            "choose a part with --start and --duration, or a lower --peak"
        )
    return trace


def _window(trace: Trace, start: float | datetime | None, duration: float | None) -> Trace:
    offset = start.timestamp() - trace.start if isinstance(start, datetime) else start or 0.0
    if isinstance(start, datetime) and trace.start < plot.DATED:
        raise TraceError(f"{trace.name} counts from its own start and has no dates; --start takes a time such as 6h")
    if not 0 <= offset < trace.seconds:
        raise TraceError(f"--start is {offset:g} s after the start of {trace.name}, which lasts {told(trace.seconds)}")
    first = int(offset // trace.bin_seconds)
    bins = len(trace.counts) - first
    if duration is not None:
        bins = min(bins, max(1, round(duration / trace.bin_seconds)))
    return trace.window(first, bins)


@contextmanager
def _progress(steps: int) -> Iterator[Callable[[str], None]]:
    """A bar on standard error; gives what is to be told of each step that is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("simulating", total=steps)
        yield lambda name: progress.update(task, advance=1, description=f"{name} is through")


def _reference(found: Comparison, model: Model) -> table.Reference | None:
    best = found.oracle
    if best is None:
        return None
    cost = best.instance_seconds / 3600 * model.price
    return table.Reference(best.kind, cost, best.launches, best.unavoidable)


def _title(trace: Trace, found: Comparison, model: Model) -> str:
    """What was simulated, in a sentence or two."""
    requests, peak = sum(found.runs[0].arrivals), float(trace.rates.max())
    busy = peak * model.service.mean / model.concurrency
    return (
        f"{trace.name}: {requests:,} requests in {told(trace.seconds)}, up to {peak:,.3g} a second in a bin of "
        f"{told(trace.bin_seconds)}, which keep {busy:,.1f} instances busy. "
        f"{model.minimum} to {model.maximum} instances at ${model.price:g} an hour, each with {model.concurrency} "
        f"images at a time; goal {told(model.goal)}."
        + (f" {trace.missing:,} bins are missing in the file, and count as silence." if trace.missing else "")
    )


def _picture(found: Comparison, trace: Trace, model: Model) -> plot.Picture:
    """Of all policies, or of the best where they are too many."""
    ranked = table.ranked(found.rows, found.oracle.unavoidable if found.oracle else 0.0)[: plot.MOST_POLICIES]
    shown = {row.policy for row in ranked}
    return plot.Picture(
        title=f"{trace.name}: {sum(found.runs[0].arrivals):,} requests in {told(trace.seconds)}, "
        f"goal {told(model.goal)}, {model.minimum} to {model.maximum} instances",
        start=trace.start,
        price=model.price,
        maximum=model.maximum,
        runs=[run for run in found.runs if run.policy in shown],
        required=found.required,
        oracle=found.oracle.fleet if found.oracle else None,
    )


def _write(path: Path, found: Comparison) -> None:
    try:
        table.write(path, found.rows)
    except OSError as error:
        raise BadRequestError(f"--csv {path}: {error.strerror}") from error
