"""Simulated against real on the same run: what a fleet cost, and how long images waited.

The embedded cloud runs a short trace for real: real workers, a real queue emulator, an injected boot delay. Then the
simulator runs the same arrivals with the same policy, settings and limits, and with what was measured in that very
run: how long each image kept its slot, how long each launch took to boot, how long instances took to leave on average.
The n-th image and the n-th launch have the n-th measured time. Nothing is fitted.

A worker's batches wait a second for more images, so that the time of an image is waiting, not computing, and several
instances on one machine do not slow each other down.

Prints both, and exits with 1 when instance-seconds or the 95th percentile of the wait differ by more than 15 %.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from real_run import Real, run_for_real

from autoscaler.limits import Limits
from autoscaler.policies import POLICIES, make
from autoscaler.simulator import trace_file
from autoscaler.simulator.arrivals import arrivals
from autoscaler.simulator.contenders import LEAVE_BY_THEMSELVES
from autoscaler.simulator.model import Model
from autoscaler.simulator.ours import Ours
from autoscaler.simulator.run import Run, Seconds
from autoscaler.simulator.trace import Trace
from autoscaler.simulator.world import simulate
from skylens.local.tiers import Options, parse
from skylens.settings import ScalerSettings, load

ALLOWED = 0.15
BOOT, MAXIMUM, SLOTS = 8.0, 4, 2
SETTINGS = (f"worker.slots={SLOTS}", "worker.batch_size=256", "worker.batch_wait_ms=1000")
RATES = ((15, 0.7), (10, 2), (10, 4), (15, 6), (8, 13), (12, 3), (25, 0), (10, 11), (15, 1), (30, 0))
"""Seconds, images per second: quiet, a ramp, a burst above what the whole fleet can do, a pause, another burst."""
SIMULATIONS = 20
"""Each with its ticks at another moment of the second."""


class Replayed:
    """A simulator's distribution that gives what was measured in its order, and beyond that any of it."""

    def __init__(self, measured: Sequence[float]) -> None:
        self._measured, self._given = np.array(measured), 0
        self.mean = float(self._measured.mean())

    def draw(self, rng: np.random.Generator, count: int) -> Seconds:
        found = self._measured[self._given : self._given + count]
        self._given += count
        return np.append(found, rng.choice(self._measured, count - len(found)))


def shortened(path: Path | None, seconds: float, peak: float) -> Trace:
    """The file's trace, all of it within ``seconds``; without a file the built-in one."""
    if path is None:
        lengths, rates = zip(*RATES, strict=True)
        return Trace("built-in", 0.0, 1.0, np.repeat(rates, lengths).astype(float))
    trace = trace_file.read(path)
    return replace(trace, start=0.0, bin_seconds=seconds / len(trace.counts)).scaled(peak)


def command(policy: str) -> list[str]:
    """The options of ``skylens up``."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return ["--boot", str(BOOT), "--max", str(MAXIMUM), "--policy", policy, *settings]


def simulated(real: Real, seconds: float, policy: str) -> list[Run]:
    """With the settings that ``skylens up`` gives its autoscaler."""
    options = Options(maximum=MAXIMUM, boot_seconds=BOOT, policy=policy, settings=parse(SETTINGS))
    settings = load(ScalerSettings, **options.scaler(["http://127.0.0.1:1"]))
    return [_simulated(real, seconds, settings, number) for number in range(SIMULATIONS)]


def _simulated(real: Real, seconds: float, settings: ScalerSettings, number: int) -> Run:
    later = number / SIMULATIONS
    scaler = Ours(
        make(settings),
        Limits(step=settings.step, scale_in_seconds=settings.scale_in_seconds),
        settings.policy,
        boot_seconds=settings.expected_boot_seconds,
        idle_timeout=settings.idle_timeout if settings.policy in LEAVE_BY_THEMSELVES else 0.0,
        resident=int(settings.policy == "resident"),
    )
    model = Model(
        service=Replayed(real.occupancies),
        boot=Replayed(real.boots),
        leave=statistics.fmean(real.leaves or [0.0]),
        concurrency=SLOTS,
        maximum=settings.maximum,
        goal=settings.latency_goal,
        seed=number,
    )
    return simulate(real.arrivals + later, seconds + later, scaler, model)


def compared(real: Real, runs: list[Run]) -> bool:
    """Print both; whether what is claimed agrees."""
    rows = {
        "instance-seconds": (real.instance_seconds, [run.instance_seconds for run in runs]),
        "p95 wait": (np.percentile(real.waits, 95), [np.percentile(run.waits, 95) for run in runs]),
        "p50 wait": (np.percentile(real.waits, 50), [np.percentile(run.waits, 50) for run in runs]),
        "mean wait": (real.waits.mean(), [run.waits.mean() for run in runs]),
        "launches": (real.launches, [run.launches for run in runs]),
    }
    print(f"  {'':18}{'real':>9}{'simulated':>11}{'least':>9}{'most':>9}{'ratio':>7}")
    ratios = {}
    for name, (one, many) in rows.items():
        mean = statistics.fmean(many)
        ratios[name] = mean / one if one else float("inf")
        print(f"  {name:18}{one:9.2f}{mean:11.2f}{min(many):9.2f}{max(many):9.2f}{ratios[name]:7.2f}")
    return all(abs(ratios[name] - 1) <= ALLOWED for name in ("instance-seconds", "p95 wait"))


def fidelity(trace: Trace, policy: str, seed: int, folder: Path) -> bool:
    """Run both and print both; whether what is claimed agrees."""
    times = arrivals(trace, np.random.default_rng(seed))
    print(f"{policy}: {len(times)} images in {trace.seconds:g} s of the trace {trace.name}", flush=True)
    real = run_for_real(times, trace.seconds, command(policy), SLOTS, folder)
    print(f"  measured, in seconds:{'least':>8}{'P50':>9}{'P90':>9}{'most':>9}")
    for name in ("boots", "occupancies", "leaves"):
        print(
            f"  {name:20}" + "".join(f"{q:9.2f}" for q in np.percentile(getattr(real, name) or [0.0], [0, 50, 90, 100]))
        )
    return compared(real, simulated(real, trace.seconds, policy))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", action="append", choices=POLICIES, help="repeatable; default: greedy, foresight")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="in place of the built-in trace: a CSV file")
    parser.add_argument("--seconds", type=float, default=150, help="into which the file is squeezed (default: 150)")
    parser.add_argument("--peak", type=float, default=11, help="images per second in its busiest bin (default: 11)")
    parser.add_argument("--seed", type=int, default=1, help="of the arrivals (default: 1)")
    args = parser.parse_args()
    trace = shortened(args.trace, args.seconds, args.peak)
    good = []
    for policy in args.policy or ("greedy", "foresight"):
        with tempfile.TemporaryDirectory() as folder:
            good.append(fidelity(trace, policy, args.seed, Path(folder)))
    return int(not all(good))


if __name__ == "__main__":
    sys.exit(main())
