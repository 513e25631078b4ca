from typing import get_args

import pytest
from msgspec import structs
from observations import observation

from autoscaler.observation import CPU
from autoscaler.policies import POLICIES, make
from autoscaler.policies.deficit import Deficit
from autoscaler.policies.depth_cpu import DepthCpu
from autoscaler.policies.greedy import Greedy
from autoscaler.policies.resident import Resident
from autoscaler.policies.target_tracking import TargetTracking
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


@pytest.mark.parametrize(
    ("outstanding", "fleet", "desired"),
    [
        (0, {}, 1),  # the resident one
        (0, {"idle": 1}, 1),
        (1, {"idle": 1}, 2),
        (5, {"idle": 1}, 6),
        (5, {"idle": 1, "pending": 5}, 6),
        (2, {"busy": 6}, 6),
        (0, {"idle": 6}, 6),
        (500, {"busy": 1}, 20),
        (500, {"busy": 25}, 25),
    ],
)
def test_resident_launches_outstanding_less_those_beside_the_resident_one(outstanding, fleet, desired):
    assert Resident().decide(observation(outstanding=outstanding, **fleet)).desired == desired


@pytest.mark.parametrize(
    ("outstanding", "cpu", "fleet", "desired"),
    [
        (0, None, {}, 0),
        (1, None, {}, 1),
        (20, None, {}, 1),
        (21, None, {}, 2),
        (5000, None, {}, 20),
        (10, 90.0, {"busy": 2}, 3),
        (10, 90.0, {"busy": 2, "booting": 1}, 3),  # what comes for the CPU's sake is waited for
        (10, 50.0, {"busy": 2}, 2),
        (10, 10.0, {"busy": 3}, 2),
        (60, 10.0, {"busy": 3}, 3),  # the queue forbids to shrink
        (61, 10.0, {"busy": 3}, 4),
        (10, None, {"ready": 3}, 3),  # not known, so neither hot nor idle
        (0, None, {"ready": 3}, 0),
        (0, 90.0, {"busy": 3}, 0),
        (10, 90.0, {"busy": 20}, 20),
    ],
)
def test_depth_and_cpu_decide_together(outstanding, cpu, fleet, desired):
    seen = structs.replace(observation(outstanding=outstanding, **fleet), cpu=cpu)
    assert DepthCpu(20, 70, 30).decide(seen).desired == desired


def test_a_stale_cpu_is_no_cpu():
    seen = structs.replace(observation(outstanding=10, busy=2, stale={CPU}), cpu=90.0)
    decision = DepthCpu(20, 70, 30).decide(seen)
    assert decision.desired == 2
    assert "CPU unknown" in decision.reason


@pytest.mark.parametrize(
    ("outstanding", "service", "desired"),
    [(0, 0.1, 0), (1, 0.1, 1), (80, 0.1, 1), (81, 0.1, 2), (5000, 0.1, 20), (80, 0.2, 2), (80, 0.0, 1), (3, 60.0, 3)],
)
def test_target_tracking_keeps_the_backlog_of_each_instance_acceptable(outstanding, service, desired):
    seen = structs.replace(observation(outstanding=outstanding), service_seconds=service)
    assert TargetTracking(goal=2, service=0.1).decide(seen).desired == desired


def test_every_policy_of_the_settings_can_be_made_and_says_why():
    assert set(get_args(ScalerSettings.model_fields["policy"].annotation)) == set(POLICIES)
    for name in POLICIES:
        assert make(ScalerSettings(policy=name)).decide(observation(outstanding=3)).reason
