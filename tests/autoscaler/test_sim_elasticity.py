import numpy as np
import pytest

from autoscaler.simulator.demand_curve import required
from autoscaler.simulator.distributions import Fixed
from autoscaler.simulator.elasticity import Elasticity, elasticity
from autoscaler.simulator.model import Model


def of(demand, supply):
    return elasticity(np.array(demand, np.int64), np.array(supply, np.int64))


@pytest.mark.parametrize(
    ("demand", "supply", "expected"),
    [
        ([2, 2, 2, 2], [2, 2, 2, 2], (0, 0, 0, 0, 0)),
        ([4, 4, 4, 4], [3, 3, 4, 4], (12.5, 0, 50, 0, 100 / 3)),
        ([2, 2, 2, 2], [2, 3, 3, 6], (0, 75, 0, 75, 200 / 3)),
        ([4, 4, 2, 2], [2, 2, 4, 4], (25, 50, 50, 50, 100 / 3)),
        ([1, 2, 3, 4], [2, 3, 4, 5], (0, 100 * (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, 0, 100, 0)),
        ([1, 2, 1, 2], [2, 1, 2, 1], (25, 50, 50, 50, 100)),
    ],
)
def test_each_metric_is_as_the_formula_says(demand, supply, expected):
    theta_u, theta_o, tau_u, tau_o, upsilon = expected
    exact = Elasticity(theta_u=theta_u, theta_o=theta_o, tau_u=tau_u, tau_o=tau_o, upsilon=upsilon)
    assert vars(of(demand, supply)) == pytest.approx(vars(exact))


def test_surplus_without_demand_is_measured_in_instances():
    assert of([0, 0], [3, 3]).theta_o == 300


def test_a_fleet_of_none_misses_all_of_the_demand():
    found = of([5, 3, 0, 0], [0, 0, 0, 0])
    assert (found.theta_u, found.tau_u) == (50, 50)


@pytest.mark.parametrize("seconds", [0, 1])
def test_short_series_are_no_error(seconds):
    assert set(vars(of([2] * seconds, [2] * seconds)).values()) == {0}


def test_series_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="demand covers 2 seconds and supply 3"):
        of([1, 1], [1, 1, 1])


def model(**changes):
    return Model(**{"service": Fixed(0.5), "concurrency": 2, "maximum": 3, "goal": 2.0, **changes})


def needed(arrivals, seconds, world):
    times = np.array(arrivals, np.float64)
    return required(times, np.full(len(times), world.service.mean), seconds, world).tolist()


def test_demand_is_work_over_slots_rounded_up():
    assert needed(np.arange(0, 6, 0.1), 6, model())[1:] == [3] * 5
    assert needed(np.arange(0, 6, 1 / 11), 6, model())[1:] == [3] * 5
    assert needed(np.arange(0, 6, 1 / 13), 6, model())[1:] == [4] * 5


@pytest.mark.parametrize(
    ("goal", "expected"),
    [(0.5, [0, 2, 0, 0, 0, 0]), (1.9, [0, 2, 0, 0, 0, 0]), (2.0, [0, 1, 1, 0, 0, 0]), (4.0, [0, 1, 1, 1, 1, 0])],
)
def test_demand_is_spread_over_the_goal(goal, expected):
    assert needed([1.0] * 8, 6, model(goal=goal)) == expected


def test_demand_may_be_beyond_the_maximum():
    assert needed([0.5] * 80, 2, model()) == [10, 10]


def test_without_requests_nothing_is_needed():
    assert needed([], 3, model()) == [0, 0, 0]
