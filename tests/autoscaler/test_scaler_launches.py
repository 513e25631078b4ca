"""The fleet grows to the demand, and never launches what is already coming."""

import pytest
import structlog
from scaler_world import UNREACHABLE, World

from skylens.fakes import aws_error


def test_a_burst_grows_the_fleet_to_the_maximum_and_its_end_shrinks_it_to_the_minimum():
    world = World()
    world.autoscaler(minimum=1, maximum=5, scale_in_seconds=3)
    world.web.outstanding = 100
    world.second()
    assert world.alive == 5
    world.seconds(60)
    assert world.web.outstanding == 0
    assert (world.alive, world.launches, world.ec2.peak) == (1, 5, 5)


def test_instances_coming_up_are_counted_and_not_launched_again():
    world = World(boot=30)
    world.autoscaler()
    world.web.outstanding = 12
    world.seconds(25)
    assert world.launches == 3


def test_launches_that_ec2_does_not_show_yet_are_counted():
    world = World(boot=60)
    world.ec2.lag = 20
    world.autoscaler(maximum=6)
    world.web.outstanding = 1000
    world.seconds(30)
    assert world.launches == 6


def test_a_launch_whose_answer_was_lost_is_repeated_with_its_token_and_launches_once():
    world = World(boot=30)
    world.ec2.lose, world.ec2.lag = 3, 5
    world.autoscaler(maximum=10)
    world.web.outstanding = 40
    world.seconds(20)
    tokens = {call[1][1] for call in world.ec2.script.calls if call[0] == "launch"}
    assert (world.launches, len(tokens)) == (10, 1)


@pytest.mark.parametrize("error", [aws_error("RequestLimitExceeded"), UNREACHABLE, aws_error("InternalError", 500)])
def test_a_launch_refused_for_a_while_happens_once_ec2_agrees(error):
    world = World()
    world.ec2.script.fail("launch", error, times=4)
    world.autoscaler()
    world.web.outstanding = 8
    world.seconds(3)
    assert world.alive == 0
    world.seconds(3)
    assert world.launches == 2


def test_no_capacity_anywhere_is_survived_said_once_and_tried_again_later_each_time():
    world = World()
    world.ec2.capacity = 0
    world.autoscaler(subnets="subnet-a,subnet-b")
    world.web.outstanding = 8
    with structlog.testing.capture_logs() as lines:
        world.seconds(100)
    assert [(line["place"][-1], line["seconds"]) for line in lines if line["event"] == "fleet.capacity"] == [
        ("a", 15),
        ("b", 15),
        ("a", 30),
        ("b", 30),
        ("a", 60),
        ("b", 60),
    ]
    assert [line["kind"] for line in lines if line.get("what") == "capacity"] == ["none"]
    world.ec2.capacity = 100
    world.seconds(10)
    assert world.launches == 2


def test_ec2_unreachable_means_no_action_one_log_line_and_recovery():
    world = World()
    world.ec2.script.fail("all", UNREACHABLE, times=5)
    world.autoscaler()
    world.web.outstanding = 8
    with structlog.testing.capture_logs() as lines:
        world.seconds(5)
        assert world.launches == 0
        assert world.web.told[-1].desired == 2
        world.second()
    assert world.launches == 2
    said = [line["event"] for line in lines if line.get("what") == "instances"]
    assert said == ["scaler.trouble", "scaler.recovered"]


def test_while_ec2_is_silent_nothing_is_launched():
    world = World()
    world.autoscaler()
    world.seconds(5)
    world.ec2.script.fail("all", UNREACHABLE, times=5)
    world.web.outstanding = 8
    world.seconds(5)
    assert world.launches == 0
    world.second()
    assert world.launches == 2


def test_deficit_launches_once_for_a_burst_and_its_workers_leave_by_themselves():
    world = World(idle_timeout=5)
    world.autoscaler(policy="deficit", maximum=6)
    world.web.outstanding = 50
    world.seconds(40)
    assert (world.alive, world.launches, world.web.outstanding) == (0, 6, 0)
    assert "drain" not in [name for name, _ in world.ec2.script.calls]


def test_measured_boots_replace_the_expected_boot_time():
    world = World(boot=7)
    world.autoscaler(expected_boot_seconds=60)
    world.web.outstanding = 4
    world.second()
    assert world.web.told[-1].boot_seconds == 60
    world.seconds(12)
    assert world.web.told[-1].boot_seconds == 8


def test_instances_that_ec2_does_not_show_for_a_moment_are_still_counted():
    world = World(boot=60)
    world.autoscaler(maximum=4)
    world.web.outstanding = 100
    world.seconds(10)
    world.ec2.hidden = 3
    world.seconds(10)
    assert (world.alive, world.launches) == (4, 4)


def test_an_instance_that_ends_before_ec2_first_shows_it_is_replaced_as_soon_as_ec2_says_so():
    world = World(boot=60)
    world.ec2.lag = 3
    world.autoscaler(maximum=4)
    world.web.outstanding = 100
    world.second()
    for one in world.ec2.alive:
        world.ec2.ends(one)
    world.seconds(5)
    assert (world.alive, world.launches) == (4, 8)


def test_a_launch_that_ec2_throttled_is_not_made_when_its_demand_is_gone():
    world = World()
    world.ec2.script.fail("launch", aws_error("RequestLimitExceeded", 503))
    world.autoscaler()
    world.web.outstanding = 40
    world.second()
    world.web.outstanding = 0
    world.seconds(10)
    assert world.launches == 0


class IllPlace:
    """RunInstances of EC2 answers 500 in one place, or in all; instances that it made are never shown."""

    def __init__(self, world, subnet=""):
        self.world, self.subnet, self.launch = world, subnet, world.ec2.launch
        world.ec2.launch = self.refuse

    def refuse(self, count, token, place, user_data=""):
        if self.subnet in place.subnet:
            raise aws_error("InternalError", 500)
        return self.launch(count, token, place, user_data)


def test_where_one_place_answers_errors_without_end_another_is_tried_and_the_maximum_holds():
    world = World(boot=60)
    IllPlace(world, "subnet-a")
    world.autoscaler(subnets="subnet-a,subnet-b", maximum=10, minimum=1)
    world.web.outstanding = 24
    world.seconds(70)
    assert world.alive == 4  # six may be in the other place, for all that EC2 says
    world.seconds(400)
    assert world.ec2.peak <= 10
    assert world.web.outstanding == 0


def test_while_launches_are_unknown_the_fleet_shrinks_and_gives_up_the_lost():
    world = World(boot=1)
    world.autoscaler(minimum=0, maximum=20)
    world.web.outstanding = 40
    world.seconds(5)
    assert world.alive == 10
    IllPlace(world)
    world.web.outstanding = 4000
    world.seconds(5)
    lost, *others = world.ec2.alive
    world.machines[lost].mute = True
    world.web.outstanding = 400 * len(others)
    world.seconds(310)
    assert lost not in world.ec2.alive
    world.web.outstanding = 0
    world.seconds(60)
    assert world.alive == 0
