import numpy as np
import pytest

from autoscaler.simulator.distributions import Fixed, Lognormal, Measured

FARO = Lognormal(shape=0.4225, loc=0.0793, scale=0.0686)


def test_a_lognormal_goes_through_its_percentiles():
    drawn = Lognormal.through(p50=30.0, p90=45.0).draw(np.random.default_rng(1), 200_000)
    assert np.percentile(drawn, [50, 90]) == pytest.approx([30, 45], rel=0.01)


@pytest.mark.parametrize(
    "distribution", [Fixed(0.1), FARO, Lognormal.through(p50=30.0, p90=45.0), Measured((1.0, 2.0, 6.0))]
)
def test_the_mean_is_that_of_what_is_drawn(distribution):
    drawn = distribution.draw(np.random.default_rng(1), 200_000)
    assert len(drawn) == 200_000
    assert distribution.mean == pytest.approx(drawn.mean(), rel=0.01)


@pytest.mark.parametrize("distribution", [Fixed(0.1), FARO, Measured((1.0, 2.0, 6.0))])
def test_the_same_seed_draws_the_same(distribution):
    one, same = (distribution.draw(np.random.default_rng(3), 5).tolist() for _ in range(2))
    assert one == same


def test_no_time_of_a_lognormal_is_below_its_loc():
    assert FARO.draw(np.random.default_rng(1), 10_000).min() > 0.0793


def test_measured_values_are_drawn_alike():
    values, counts = np.unique(
        Measured((1.0, 2.0, 2.0, 6.0)).draw(np.random.default_rng(1), 40_000), return_counts=True
    )
    assert values.tolist() == [1, 2, 6]
    assert counts / 40_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.02)
