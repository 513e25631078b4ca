"""One autoscaler acts at a time: what one does is known to, or waited for by, the next."""

import pytest
from scaler_world import UNREACHABLE, World, refusing, slow_web

from skylens.aws import Aws
from skylens.fakes import aws_error


def test_an_autoscaler_killed_in_a_burst_is_followed_within_15_seconds_and_nothing_is_launched_twice():
    world = World(boot=60)
    world.ec2.lag = 60
    first = world.autoscaler(maximum=10)
    world.autoscaler(maximum=10)
    world.web.outstanding = 12
    world.second()
    first.dies()
    world.seconds(5)
    world.web.outstanding = 24
    world.seconds(10)
    assert world.launches == 6


def test_an_autoscaler_killed_between_a_launch_and_its_answer_launches_nothing_twice():
    world = World(boot=60)
    world.ec2.lose, world.ec2.lag = 1, 8
    first = world.autoscaler(maximum=10)
    world.web.outstanding = 40
    world.second()
    first.dies()
    world.autoscaler(maximum=10)
    world.seconds(30)
    assert (world.launches, world.alive) == (10, 10)


@pytest.mark.parametrize("age", [10, 400])
def test_a_successor_that_ec2_shows_nothing_at_first_counts_what_its_predecessor_had(age):
    world = World(speed=0)
    first = world.autoscaler(maximum=10)
    world.web.outstanding = 24
    world.seconds(age)
    first.dies()
    world.autoscaler(maximum=10)
    world.ec2.hidden = 5
    world.seconds(30)
    assert (world.launches, world.ec2.peak) == (6, 6)


def test_a_successor_replaces_what_ended_before_its_first_look():
    world = World(speed=0)
    first = world.autoscaler(maximum=6)
    world.web.outstanding = 24
    world.seconds(400)
    first.dies()
    for one in world.ec2.alive[:2]:
        world.ec2.ends(one)
    world.autoscaler(maximum=6)
    world.seconds(15)
    assert (world.launches, world.alive, world.ec2.peak) == (8, 6, 6)


def test_a_stopped_autoscaler_hands_over_at_once_and_tells_what_ec2_does_not_show_yet():
    world = World(boot=60)
    world.ec2.lag = 30
    first = world.autoscaler(maximum=10)
    world.web.outstanding = 40
    world.second()
    first.stops()
    second = world.autoscaler(maximum=10)
    world.second()
    assert second.lease.held
    world.seconds(40)
    assert world.launches == 10


def test_an_autoscaler_stopped_amid_a_lost_answer_keeps_others_waiting():
    world = World(boot=60)
    world.ec2.lose, world.ec2.lag = 2, 8
    first = world.autoscaler(maximum=10)
    world.web.outstanding = 40
    world.second()
    first.stops()
    second = world.autoscaler(maximum=10)
    world.second()
    assert not second.lease.held
    world.seconds(30)
    assert world.launches == 10


def test_of_two_autoscalers_one_acts():
    world = World(boot=30)
    one, other = world.autoscaler(), world.autoscaler()
    world.web.outstanding = 20
    world.seconds(20)
    assert (one.lease.held, other.lease.held) == (True, False)
    assert world.launches == 5


def test_a_standby_takes_no_worker_event():
    world = World(boot=1)
    _, other = world.autoscaler(), world.autoscaler()
    world.web.outstanding = 20
    world.seconds(10)
    assert not other.listener.listening


def test_an_autoscaler_that_cannot_renew_its_lease_stops_acting():
    world = World(boot=30)
    world.autoscaler(lease_seconds=10)
    world.second()
    for method in ("get", "put_if"):
        world.store.script.fail(method, UNREACHABLE, times=1000)
    world.seconds(10)
    world.web.outstanding = 20
    world.seconds(20)
    assert world.launches == 0


def test_a_tick_that_outlasts_the_lease_does_not_act():
    world = World()
    scaler = world.autoscaler()
    scaler.tick()
    world.web.outstanding = 20
    slow_web(world, 11)
    scaler.tick()
    assert world.launches == 0


def test_what_another_launched_while_the_lease_was_lost_is_looked_at_before_acting():
    world = World(boot=60)
    scaler = world.autoscaler(maximum=5)
    scaler.tick()
    slow_web(world, 10.2)
    scaler.tick()
    world.ec2.launch(5, "of another")
    world.web.outstanding = 20
    for _ in range(10):
        world.clock.sleep(0.2)
        scaler.tick()
    assert scaler.lease.held
    assert world.launches == 5


def test_a_launch_left_open_when_the_lease_was_lost_is_not_made_when_it_is_regained():
    world = World(boot=60)
    scaler = world.autoscaler(maximum=5)
    with refusing(world.ec2, "launch"):
        world.web.outstanding = 20
        world.second()
        with refusing(world.store, "get", "put_if"):
            world.seconds(11)
    assert (scaler.lease.held, world.launches) == (False, 0)
    world.ec2.launch(5, "of another")
    world.seconds(40)
    assert scaler.lease.held
    assert world.ec2.peak == 5


def test_a_regained_lease_starts_the_wait_for_scale_in_over():
    world = World(boot=60)
    scaler = world.autoscaler(scale_in_seconds=15)
    world.web.outstanding = 16
    world.second()
    world.web.outstanding = 0
    world.seconds(5)
    with refusing(world.store, "get", "put_if"):
        world.seconds(11)
        assert not scaler.lease.held
    world.seconds(10)
    assert scaler.lease.held
    assert "drain" not in [name for name, _ in world.ec2.script.calls]
    world.seconds(8)
    assert "drain" in [name for name, _ in world.ec2.script.calls]


def lose_the_first_try(world, scaler):
    """EC2 does not get the next launch as first sent; what follows is up to the settings of the scaler's client."""
    config = Aws("us-east-1").ec2(scaler.lease.call_seconds).meta.config
    launch = world.ec2.launch

    def lose(*arguments):
        world.ec2.launch = launch
        world.seconds(config.connect_timeout + config.read_timeout, asleep=scaler)
        if config.retries["total_max_attempts"] == 1:
            raise UNREACHABLE
        return launch(*arguments)

    world.ec2.launch = lose


def test_a_launch_call_ends_before_a_standby_takes_over():
    world = World(boot=60)
    first = world.autoscaler(maximum=4)
    world.autoscaler(maximum=4)
    world.web.outstanding = 100
    lose_the_first_try(world, first)
    world.seconds(40)
    assert (world.alive, world.ec2.peak) == (4, 4)


def test_an_autoscaler_that_gave_up_an_instance_for_longer_than_its_lease_launches_nothing():
    world = World(boot=1000)
    first = world.autoscaler(maximum=4, boot_timeout=100)
    world.autoscaler(maximum=4, boot_timeout=100)
    terminate = world.ec2.terminate

    def slow(one):
        world.ec2.terminate = terminate
        world.seconds(15, asleep=first)
        terminate(one)

    world.ec2.terminate = slow
    world.web.outstanding = 4
    world.seconds(101)
    world.web.outstanding = 100
    assert (world.launches, world.ec2.terminate) == (1, slow)
    world.seconds(30)
    assert world.ec2.terminate == terminate
    assert world.ec2.peak == 4


def test_a_subnet_that_refuses_for_longer_than_the_lease_is_not_followed_by_the_next():
    world = World(boot=60)
    first = world.autoscaler(maximum=4, subnets="subnet-a,subnet-b")
    world.autoscaler(maximum=4)
    launch = world.ec2.launch

    def slow(*arguments):
        world.ec2.launch = launch
        world.seconds(15, asleep=first)
        raise aws_error("InsufficientInstanceCapacity")

    world.ec2.launch = slow
    world.web.outstanding = 100
    world.seconds(20)
    assert (world.alive, world.ec2.peak) == (4, 4)
