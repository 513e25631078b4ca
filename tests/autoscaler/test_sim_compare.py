"""Several policies over one trace."""

import math
import warnings
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import astuple

import numpy as np
import pytest

from autoscaler.simulator.arrivals import arrivals
from autoscaler.simulator.compare import REFERENCE, ComparisonError, _wait, compare
from autoscaler.simulator.contenders import NAMES, contender
from autoscaler.simulator.distributions import Fixed
from autoscaler.simulator.model import Model
from autoscaler.simulator.trace import Trace
from autoscaler.simulator.world import simulate
from skylens.errors import BadRequestError

MODEL = Model(boot=Fixed(5.0), maximum=4, price=3600.0)
BUSY = Trace("busy", 0.0, 10.0, np.array([50.0, 400.0, 900.0, 100.0, 0.0, 300.0]))
QUIET = Trace("quiet", 0.0, 1.0, np.zeros(30))


@pytest.mark.parametrize("name", NAMES)
def test_each_contender_has_its_name_and_can_size_a_fleet(name):
    scaler = contender(name, BUSY, MODEL)
    assert scaler.name == name
    assert len(simulate(np.arange(20.0), 20.0, scaler, MODEL).fleet) == 20


def test_an_unknown_policy_is_refused_with_the_names_that_there_are():
    with pytest.raises(BadRequestError, match=r"no policy 'magic'; there are foresight, .*static_peak"):
        compare(BUSY, MODEL, ["keda", "magic"], jobs=1)


def test_ours_take_their_parameters_from_the_environment(monkeypatch):
    before = compare(BUSY, MODEL, ["greedy"], jobs=1).rows
    monkeypatch.setenv("SKYLENS_IMAGES_PER_INSTANCE", "100")
    assert compare(BUSY, MODEL, ["greedy"], jobs=1).rows != before


def test_the_limits_are_the_models():
    assert max(compare(BUSY, MODEL, ["greedy"], jobs=1).runs[0].fleet) == 4


def test_only_deficit_and_resident_leave_by_themselves_and_only_resident_stays():
    scalers = {name: contender(name, BUSY, MODEL) for name in ("deficit", "resident", "greedy")}
    assert {name: (scaler.idle_timeout, scaler.resident) for name, scaler in scalers.items()} == {
        "deficit": (30.0, 0),
        "resident": (30.0, 1),
        "greedy": (0.0, 0),
    }


def test_rows_and_runs_come_in_the_order_asked_for_and_all_saw_the_same_arrivals():
    found = compare(BUSY, MODEL, ["static_peak", "keda", "greedy"], jobs=1)
    assert [row.policy for row in found.rows] == [run.policy for run in found.runs] == ["static_peak", "keda", "greedy"]
    assert len({run.arrivals.tobytes() for run in found.runs}) == 1


def test_a_row_is_what_the_run_says():
    (row,) = compare(BUSY, MODEL, ["keda"], jobs=1).rows
    times = arrivals(BUSY, np.random.default_rng(MODEL.seed))
    run = simulate(times, BUSY.seconds, contender("keda", BUSY, MODEL), MODEL)
    assert (row.instance_hours, row.launches) == (run.instance_seconds / 3600, run.launches)
    assert (row.cost, row.late) == (run.billed_seconds, np.mean(run.latencies > 2))
    waits = np.sort(run.waits)
    assert row.mean_wait == pytest.approx(waits.mean())
    assert (row.p95_wait, row.p99_wait) == tuple(waits[math.ceil(share * len(waits)) - 1] for share in (0.95, 0.99))


def test_the_oracle_is_billed_no_more_than_any_policy():
    found = compare(BUSY, MODEL, ["static_peak", "greedy"], jobs=1)
    for row, run in zip(found.rows, found.runs, strict=True):
        assert row.ratio == run.billed_seconds / found.oracle.instance_seconds > 1


def test_without_an_oracle_there_is_no_ratio():
    found = compare(BUSY, MODEL, ["keda"], with_oracle=False, jobs=1)
    assert (found.oracle, found.rows[0].ratio) == (None, None)
    assert len(found.required) == BUSY.seconds


def test_a_fleet_that_is_always_there_is_never_short_of_the_required():
    model = Model(minimum=20, initial=20, maximum=20)
    (row,) = compare(BUSY, model, ["static_peak"], jobs=1).rows
    assert (row.theta_u, row.tau_u, row.tau_o, row.late) == (0.0, 0.0, 100.0, 0.0)


def test_the_counts_can_be_taken_exactly():
    assert compare(BUSY, MODEL, ["keda"], exact=True, jobs=1).runs[0].arrivals.sum() == BUSY.counts.sum()


def test_the_seed_draws_other_arrivals():
    one, other = (compare(BUSY, Model(seed=seed), ["keda"], jobs=1).runs[0].arrivals for seed in (1, 2))
    assert one.tolist() != other.tolist()


def test_a_trace_without_any_request_is_compared_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare(QUIET, MODEL, NAMES, jobs=1)
    numbers = [number for row in found.rows for number in astuple(row)[1:] if number is not None]
    assert all(map(math.isfinite, numbers))
    assert [row.ratio for row in found.rows] == [None] * len(NAMES)


def test_other_processes_find_the_same_and_each_step_is_told():
    told = []
    found = compare(BUSY, MODEL, ["keda", "greedy"], jobs=2, done=told.append)
    assert found.rows == compare(BUSY, MODEL, ["keda", "greedy"], jobs=1).rows
    assert sorted(told) == sorted([REFERENCE, "keda", "greedy"])


def test_runs_leave_the_times_of_each_request_behind():
    (run,) = compare(BUSY, MODEL, ["keda"], jobs=1).runs
    assert (len(run.waits), len(run.latencies)) == (0, 0)


def test_a_process_that_was_killed_is_told_in_words():
    broken = Future()
    broken.set_exception(BrokenProcessPool())
    with pytest.raises(ComparisonError, match="want of memory"):
        _wait({broken: "keda"}, print)
