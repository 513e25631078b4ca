from typing import get_args

import pytest
from observations import observation

from autoscaler.policies import POLICIES, make
from autoscaler.policies.deficit import Deficit
from autoscaler.policies.greedy import Greedy
from skylens.settings import ScalerSettings


@pytest.mark.parametrize(
    ("outstanding", "maximum", "desired"),
    [(0, 20, 0), (1, 20, 1), (4, 20, 1), (5, 20, 2), (76, 20, 19), (77, 20, 20), (10_000, 20, 20), (100, 3, 3)],
)
def test_greedy_wants_one_instance_for_every_four_outstanding_images(outstanding, maximum, desired):
    assert Greedy(4).decide(observation(outstanding=outstanding, maximum=maximum)).desired == desired


@pytest.mark.parametrize(
    ("outstanding", "fleet", "desired"),
    [
        (0, {}, 0),
        (7, {}, 7),
        (100, {}, 20),
        (7, {"pending": 3, "booting": 2}, 7),
        (7, {"pending": 7}, 7),
        (3, {"idle": 5}, 5),
        (10, {"busy": 2}, 6),
        (4, {"busy": 2}, 2),
        (30, {"busy": 2, "draining": 4}, 20),
        (0, {"idle": 3}, 3),
    ],
)
def test_deficit_launches_what_nobody_works_on_less_what_runs_and_never_shrinks(outstanding, fleet, desired):
    assert Deficit().decide(observation(outstanding=outstanding, **fleet)).desired == desired


def test_every_policy_of_the_settings_can_be_made_and_says_why():
    assert set(get_args(ScalerSettings.model_fields["policy"].annotation)) == set(POLICIES)
    for name in POLICIES:
        assert make(ScalerSettings(policy=name)).decide(observation(outstanding=3)).reason
