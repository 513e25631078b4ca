"""Every policy, and those of others, over real request traces: cost, lateness, and the distance to the oracle.

    python bench/policies.py [--traces DIR] [--only NAME ...] [--policy NAME ...] [--csv FILE]

Each trace is scaled so that its busiest bin needs all of the maximum's instances. Images take 0.1 s on one of two
slots, an instance boots in 30 s (median) to 45 s (90th percentile), the goal is 2 s, the maximum 20. Nobody is warmed
up: each policy begins the day knowing nothing, with the instances that the first minutes need.

Exit status 1 when foresight is dearer than it may be, or a baseline is both cheaper and faster on some trace.
"""

import argparse
import csv
import dataclasses
import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from autoscaler.simulator import table, trace_file
from autoscaler.simulator.compare import Comparison, Row, compare
from autoscaler.simulator.contenders import NAMES
from autoscaler.simulator.model import Model
from autoscaler.simulator.trace import Trace

SHARED = Path(__file__).resolve().parents[2] / "shared" / "traces"
DAY = 86400
PROMISE = 0.01
"""Share of requests that may be over the goal."""
KEPT = 8
"""Traces on which the promise has to be kept; the others are unforeseeable, see docs/autoscaling.md."""
BUDGET = 1.25
"""Most that foresight may cost, in geometric mean, for one that the oracle costs."""
ROOM = 20.0
"""Images a second of one instance: two slots, 0.1 s each."""


class Case(NamedTuple):
    """``start``, ``seconds``: the window, from the file's beginning."""

    name: str
    file: str
    column: str | None
    start: int
    seconds: int


CASES = (
    Case("World Cup, match day", "worldcup98/invocation_count_per_minute.csv", None, 56 * DAY, DAY),
    Case("World Cup, flash crowd", "worldcup98/invocation_count_per_minute.csv", None, 61 * DAY, DAY),
    Case("World Cup, quiet night", "worldcup98/invocation_count_per_minute.csv", None, 62 * DAY, DAY // 4),
    Case("Azure 2aec78", "azure_functions/azure2019_unscaled_sample_per_minute.csv", "2aec780b74ed", 3 * DAY, DAY // 2),
    Case("Azure bd33ce", "azure_functions/azure2019_unscaled_sample_per_minute.csv", "bd33ce4bbd8f", 3 * DAY, DAY // 2),
    Case("Azure 9c61f9", "azure_functions/azure2019_unscaled_sample_per_minute.csv", "9c61f9602abe", 3 * DAY, DAY),
    Case("Azure e369a4", "azure_functions/azure2019_unscaled_sample_per_minute.csv", "e369a477e4d9", 3 * DAY, DAY),
    Case(
        "Azure f44479, sporadic",
        "azure_functions/azure2019_unscaled_sample_per_minute.csv",
        "f44479dabd4b",
        3 * DAY,
        DAY,
    ),
    Case("Faro, all jobs", "faro_eurosys25/faro_6h_per_minute.csv", "sum", 0, DAY // 4),
    Case("AWS load balancer", "nab/elb_request_count_8c0756.csv", None, 3 * DAY, DAY),
    Case("Mentions of AAPL", "nab/Twitter_volume_AAPL.csv", None, 3 * DAY, DAY),
    Case("Mentions of AMZN", "nab/Twitter_volume_AMZN.csv", None, 3 * DAY, DAY),
)


class Verdict(NamedTuple):
    """How foresight did on one trace. ``ahead``: baselines that are both cheaper and less often late."""

    trace: str
    ratio: float
    late: float
    unavoidable: float
    ahead: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether the promise was kept, or nobody could have kept it."""
        return self.late <= PROMISE or self.unavoidable > PROMISE

    def __str__(self) -> str:
        text = f"{self.trace}: {self.ratio:.2f} times the oracle, {100 * self.late:.2f} % over the goal"
        if not self.kept:
            text += f": DEFEATED (the oracle {100 * self.unavoidable:.2f} %)"
        return text + (f"; BOTH CHEAPER AND FASTER: {', '.join(self.ahead)}" if self.ahead else "")


def load(case: Case, folder: Path) -> Trace:
    trace = trace_file.read(folder / case.file, case.column)
    window = trace.window(round(case.start / trace.bin_seconds), round(case.seconds / trace.bin_seconds))
    return dataclasses.replace(window, name=case.name)


def play(case: Case, folder: Path, names: list[str]) -> tuple[Comparison, Model]:
    maximum = Model().maximum
    trace = load(case, folder).scaled(maximum * ROOM)
    first = trace.rates[: max(1, round(300 / trace.bin_seconds))].max()
    model = Model(initial=min(maximum, math.ceil(first / ROOM) + 1))
    return compare(trace, model, names), model


def judge(case: Case, found: Comparison) -> Verdict:
    rows = {row.policy: row for row in found.rows}
    own = rows["foresight"]
    ahead = tuple(row.policy for row in found.rows if row.cost < own.cost and row.late < own.late)
    return Verdict(case.name, own.ratio or math.nan, own.late, found.oracle.unavoidable, ahead)


def show(console: Console, case: Case, found: Comparison, model: Model) -> None:
    best = found.oracle
    requests = int(sum(found.runs[0].arrivals))
    console.print(f"\n{case.name}, {case.seconds / 3600:g} h, {requests:,} requests")
    cost = best.instance_seconds / 3600 * model.price
    reference = table.Reference(best.kind, cost, best.launches, best.unavoidable)
    console.print(table.render(found.rows, reference, console.width))


def mean(verdicts: list[Verdict]) -> float:
    """Geometric mean of the ratios to the oracle."""
    return math.exp(sum(math.log(verdict.ratio) for verdict in verdicts) / len(verdicts)) if verdicts else math.nan


def summarise(verdicts: list[Verdict]) -> bool:
    """Print the verdicts; whether the claims hold."""
    print()
    for verdict in verdicts:
        print(verdict)
    kept = [verdict for verdict in verdicts if verdict.kept]
    print(
        f"\nforesight, geometric mean of the cost to the oracle's: {mean(kept):.3f} over the {len(kept)} traces with at"
        f" most {100 * PROMISE:g} % over the goal, {mean(verdicts):.3f} over all {len(verdicts)}"
    )
    return (
        len(kept) >= min(KEPT, len(verdicts))
        and mean(kept) <= BUDGET
        and not any(verdict.ahead for verdict in verdicts)
    )


def write(path: Path, cases: list[Case], found: list[Comparison]) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["trace", *(field.name for field in dataclasses.fields(Row))])
        for case, each in zip(cases, found, strict=True):
            rows.writerows([case.name, *dataclasses.astuple(row)] for row in each.rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, default=SHARED, help=f"folder of the traces (default: {SHARED})")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="traces whose name contains one of these")
    parser.add_argument("--policy", nargs="+", default=list(NAMES), metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write all rows there")
    args = parser.parse_args()
    if not args.traces.is_dir():
        parser.error(f"{args.traces} is no folder: --traces names the one with the request traces")
    cases = [case for case in CASES if not args.only or any(word in case.name for word in args.only)]
    names, began = list(dict.fromkeys(["foresight", *args.policy])), time.monotonic()
    console, verdicts, all_found = Console(width=150), [], []
    for case in cases:
        found, model = play(case, args.traces, names)
        show(console, case, found, model)
        verdicts.append(judge(case, found))
        all_found.append(found)
    if args.csv:
        write(args.csv, cases, all_found)
    holds = summarise(verdicts)
    print(f"{time.monotonic() - began:.0f} s")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
