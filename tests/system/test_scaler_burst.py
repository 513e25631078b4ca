"""A burst of 100 images with each fleet and each policy: launched for at once, answered once, gone again.

The combinations run side by side, each on a cloud of its own: most of their time is waiting for boots.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

import bursts
import pytest
from harness import Cloud

from skylens.cli.up import POLICIES

COUNT = 100
COMBINATIONS = [("alarms", "foresight"), *product(("ec2", "asg"), POLICIES)]
"""With the fleet ``alarms`` no policy has a say: AWS scales. That takes longest, so it begins first."""
SHORT = [one for one in COMBINATIONS if one[0] != "asg" or one[1] in {"foresight", "resident"}]
"""A group differs in how it launches and ends, which is the same for every policy; `make soak` has them all."""
SETTINGS = {"alarms": ("--set", "worker.slots=4", "--set", "scaler.latency_goal=0.2")}
"""With these, eight images are acceptable for each instance, so the burst wants more of them than the maximum."""
LAUNCH_SECONDS = {"ec2": 2.0, "asg": 2.0, "alarms": 15.0}
"""From the first request to the launch. AWS's alarms take a data point every ten seconds, and time to look at it."""


@pytest.fixture
def burst(tmp_path, pictures):
    """Runs a burst on a cloud of its own: ``burst(boot, fleet, policy)``."""

    def run(boot, fleet, policy):
        folder = tmp_path / f"{fleet}-{policy}"
        folder.mkdir()
        options = {"--fleet": fleet, "--policy": policy, "--max": bursts.MAXIMUM, "--boot": boot}
        words = [str(word) for option in options.items() for word in option]
        with Cloud(folder, *words, *SETTINGS.get(fleet, ())) as cloud:
            return bursts.run(cloud, pictures[:COUNT], minimum(fleet, policy))

    return run


def minimum(fleet, policy):
    """The resident worker never leaves."""
    return int(policy == "resident" and fleet != "alarms")


def courses(burst, combinations, boot, together):
    """Each combination as it ends, ``together`` at a time: a function that gives its course, or raises."""
    with ThreadPoolExecutor(together) as clouds:
        running = [(one, clouds.submit(burst, boot, *one)) for one in combinations]
        for (fleet, policy), course in running:
            yield fleet, policy, partial(told, course, fleet, policy)


def told(future, fleet, policy):
    course = future.result()
    print(f"{fleet:6} {policy:15} {course}")
    return course


@pytest.mark.system
def test_every_image_of_a_burst_is_answered_once_within_the_maximum_by_a_fleet_that_leaves(
    burst, pictures, offline, subtests
):
    wanted = bursts.expected(pictures[:COUNT], offline)
    for fleet, policy, course in courses(burst, SHORT, boot=5, together=3):
        with subtests.test(fleet=fleet, policy=policy):
            bursts.check(course(), wanted, minimum(fleet, policy))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_with_boots_of_30_seconds_the_launch_call_comes_within_2_seconds_of_the_first_request(
    burst, pictures, offline, subtests
):
    wanted = bursts.expected(pictures[:COUNT], offline)
    for fleet, policy, course in courses(burst, COMBINATIONS, boot=30, together=3):
        with subtests.test(fleet=fleet, policy=policy):
            went = course()
            bursts.check(went, wanted, minimum(fleet, policy))
            assert went.launch <= LAUNCH_SECONDS[fleet]
