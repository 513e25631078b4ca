"""Several policies over the same trace, in numbers that can be held against each other."""

import math
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

from autoscaler.simulator.arrivals import arrivals
from autoscaler.simulator.contenders import contender
from autoscaler.simulator.demand_curve import required
from autoscaler.simulator.elasticity import elasticity
from autoscaler.simulator.model import Model
from autoscaler.simulator.oracle import Oracle, oracle
from autoscaler.simulator.run import Counts, Run, Seconds
from autoscaler.simulator.trace import Trace
from autoscaler.simulator.world import service_times, simulate
from skylens.errors import SkylensError

_P = ParamSpec("_P")
_T = TypeVar("_T")
REFERENCE = "oracle"
"""What the progress calls the step that works out the requirement and the oracle."""


class ComparisonError(SkylensError):
    code, title = "failed-comparison", "The simulation did not come to its end"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one policy made of a trace. Times in seconds.

    ``cost``: dollars, by what EC2 bills; ``late``: share of requests answered later than the goal; the waits are from
    arrival to the start of work. ``theta_u`` to ``instability``: percent, see ``Elasticity``. ``ratio``: of the cost to
    the oracle's; None without an oracle, or where that costs nothing.
    """

    policy: str
    instance_hours: float
    cost: float
    late: float
    mean_wait: float
    p95_wait: float
    p99_wait: float
    launches: int
    theta_u: float
    theta_o: float
    tau_u: float
    tau_o: float
    instability: float
    ratio: float | None


class Comparison(NamedTuple):
    """``rows`` and ``runs`` in the order of the names asked for; the runs without the times of each request."""

    rows: list[Row]
    runs: list[Run]
    required: Counts
    oracle: Oracle | None


class _Case(NamedTuple):
    trace: Trace
    model: Model
    exact: bool
    with_oracle: bool

    def arrivals(self) -> Seconds:
        return arrivals(self.trace, np.random.default_rng(self.model.seed), exact=self.exact)


class _Reference(NamedTuple):
    required: Counts
    oracle: Oracle | None


class _Outcome(NamedTuple):
    run: Run
    late: float
    mean_wait: float
    p95_wait: float
    p99_wait: float


def compare(
    trace: Trace,
    model: Model,
    names: Sequence[str],
    *,
    exact: bool = False,
    with_oracle: bool = True,
    jobs: int | None = None,
    done: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Run each policy over the same arrivals, in ``jobs`` processes (by default one for each processor).

    ``exact``: as many arrivals in each bin as counted, not drawn around it. ``done`` is told each policy's name, and
    ``REFERENCE``, when it is through. Raises ComparisonError when a process is killed, and whatever ``contender`` does.
    """
    case = _Case(trace, model, exact, with_oracle)
    for name in names:
        contender(name, trace, model)
    with _executor(min(jobs or os.cpu_count() or 1, len(names) + 1)) as executor:
        foreseen = executor.submit(_foresee, case)
        played = {name: executor.submit(_play, case, name) for name in names}
        _wait({foreseen: REFERENCE, **{future: name for name, future in played.items()}}, done)
    reference, outcomes = foreseen.result(), [played[name].result() for name in names]
    rows = [_row(outcome, reference, model) for outcome in outcomes]
    return Comparison(rows, [outcome.run for outcome in outcomes], reference.required, reference.oracle)


class _Here(Executor):
    """Does everything in this process, at once."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        future: Future[_T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _executor(jobs: int) -> Executor:
    """Fresh processes: this one may have threads, which a fork would leave in pieces. Ctrl-C ends them silently."""
    if jobs == 1:
        return _Here()
    end_silently = (signal.SIGINT, signal.SIG_DFL)
    return ProcessPoolExecutor(jobs, get_context("spawn"), initializer=signal.signal, initargs=end_silently)


def _wait(futures: Mapping[Future[Any], str], done: Callable[[str], None]) -> None:
    try:
        for future in as_completed(futures):
            future.result()
            done(futures[future])
    except BrokenProcessPool as error:
        raise ComparisonError(
            "a process of the simulation was killed; for want of memory? A shorter window or fewer requests need less"
        ) from error


def _foresee(case: _Case) -> _Reference:
    times = case.arrivals()
    services, seconds = service_times(case.model, len(times)), math.ceil(case.trace.seconds)
    needed = required(times, services, seconds, case.model)
    best = oracle(times, services, seconds, case.model) if case.with_oracle else None
    return _Reference(needed, best)


def _play(case: _Case, name: str) -> _Outcome:
    run = simulate(case.arrivals(), case.trace.seconds, contender(name, case.trace, case.model), case.model)
    waits = run.waits if len(run.waits) else np.zeros(1)
    p95, p99 = np.percentile(waits, [95, 99], method="inverted_cdf")
    none = np.empty(0)
    return _Outcome(
        replace(run, policy=name, waits=none, latencies=none),
        run.late_share(case.model.goal),
        float(waits.mean()),
        float(p95),
        float(p99),
    )


def _row(outcome: _Outcome, reference: _Reference, model: Model) -> Row:
    run, best = outcome.run, reference.oracle
    fit = elasticity(reference.required, run.ready)
    return Row(
        policy=run.policy,
        instance_hours=run.instance_seconds / 3600,
        cost=run.cost(model.price),
        late=outcome.late,
        mean_wait=outcome.mean_wait,
        p95_wait=outcome.p95_wait,
        p99_wait=outcome.p99_wait,
        launches=run.launches,
        theta_u=fit.theta_u,
        theta_o=fit.theta_o,
        tau_u=fit.tau_u,
        tau_o=fit.tau_o,
        instability=fit.upsilon,
        ratio=run.billed_seconds / best.instance_seconds if best and best.instance_seconds else None,
    )
