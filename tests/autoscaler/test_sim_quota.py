import numpy as np
import pytest

from autoscaler.limits import Limits
from autoscaler.observation import Decision
from autoscaler.simulator.distributions import Fixed
from autoscaler.simulator.model import Model
from autoscaler.simulator.ours import Ours
from autoscaler.simulator.quota import Job, Need, divide, simulate_together
from autoscaler.simulator.world import simulate

SECONDS = 600.0
LIMITS = Limits(step=20, scale_in_seconds=0.0)


class Backlog:
    """Wants an instance for each outstanding image, and at least two."""

    def decide(self, seen):
        return Decision(desired=max(2, seen.outstanding), reason="")


class Broken:
    def decide(self, seen):
        if seen.at >= 5:
            raise RuntimeError("out of order")
        return Decision(desired=1, reason="")


def need(wanted, load, *, active=1, leaving=0, least=0):
    return Need(wanted, least, active, leaving, load)


def job(seed=1, policy=None, rate=8.0, **model):
    rng = np.random.default_rng(seed)
    arrivals = np.sort(rng.uniform(0, SECONDS, rng.poisson(rate * SECONDS)))
    options = {"service": Fixed(0.5), "boot": Fixed(15.0), "concurrency": 1, "initial": 1, "minimum": 1, "seed": seed}
    return Job(arrivals, Model(**(options | model)), policy or Backlog(), LIMITS)


@pytest.mark.parametrize(
    ("needs", "total", "granted"),
    [
        pytest.param([need(3, 2.0), need(4, 2.0)], 10, [3, 4], id="all get what they want where there is room"),
        pytest.param([need(9, 2.0), need(9, 2.0)], 10, [5, 5], id="equal loads share equally"),
        pytest.param([need(9, 4.0), need(9, 1.0)], 10, [7, 3], id="one deviation of headroom each: 4 + 2, 1 + 1"),
        pytest.param([need(9, 0.0, active=0), need(9, 4.0), need(9, 4.0)], 10, [0, 5, 5], id="no load comes last"),
        pytest.param([need(9, 0.0, least=2), need(9, 4.0)], 10, [2, 8], id="not below the minimum"),
        pytest.param(
            [need(9, 1.0, active=8), need(9, 1.0, active=2)], 10, [5, 2], id="nobody launches before others go"
        ),
        pytest.param([need(1, 1.0, leaving=5), need(9, 1.0, active=2)], 10, [1, 4], id="who leaves takes room"),
        pytest.param([need(1, 1.0, leaving=9), need(9, 1.0, active=2)], 10, [1, 2], id="no room at all"),
    ],
)
def test_the_total_is_divided_by_headroom(needs, total, granted):
    assert divide(needs, total) == granted


@pytest.mark.parametrize(("total", "every"), [(3, 1.0), (7, 1.0), (12, 10.0)])
def test_all_fleets_together_never_exceed_the_total_and_use_it(total, every):
    runs = simulate_together([job(1), job(2), job(3, rate=2.0)], SECONDS, total, every)
    assert np.sum([run.fleet for run in runs], axis=0).max() == total


def test_where_there_is_room_a_fleet_is_the_one_it_would_be_alone():
    alone = simulate(job().arrivals, SECONDS, Ours(Backlog(), LIMITS, "alone"), job(maximum=9).model)
    beside, _ = simulate_together([job(maximum=9), job(2, maximum=9)], SECONDS, 20, 1.0)
    np.testing.assert_array_equal(beside.fleet, alone.fleet)
    np.testing.assert_array_equal(beside.latencies, alone.latencies)


def test_the_same_jobs_have_the_same_fleets():
    one, other = (simulate_together([job(1), job(2), job(3)], SECONDS, 12, 1.0) for _ in range(2))
    np.testing.assert_array_equal([run.fleet for run in one], [run.fleet for run in other])


def test_more_instances_at_the_start_than_the_total_are_refused():
    with pytest.raises(ValueError, match="2 instances at the start are more than the joint maximum 1"):
        simulate_together([job(), job()], SECONDS, 1, 1.0)


def test_a_scaler_that_fails_ends_all():
    with pytest.raises(RuntimeError, match="out of order"):
        simulate_together([job(), job(policy=Broken())], SECONDS, 9, 1.0)
