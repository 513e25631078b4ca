"""The fleet shrinks only when it is known that fewer are enough."""

from scaler_world import UNREACHABLE, World

from skylens.queues import Counts


def test_a_web_node_that_does_not_answer_never_shrinks_the_fleet():
    world = World()
    world.autoscaler(scale_in_seconds=2)
    world.web.outstanding = 16
    world.second()
    world.web.down, world.requests.shown = True, Counts(0, 0)
    world.web.outstanding = 0
    world.seconds(120)
    assert world.alive == 4
    world.web.down = False
    world.seconds(10)
    assert world.alive == 0


def test_a_restarted_web_node_reading_zero_does_not_shrink_the_fleet_while_sqs_may_lag():
    world = World()
    world.autoscaler(scale_in_seconds=2)
    world.web.outstanding = 16
    world.second()
    world.web.outstanding, world.web.started = 0, world.clock.now()
    world.seconds(50)
    assert world.alive == 4
    world.seconds(30)
    assert world.alive == 0


def test_a_restarted_web_node_leaves_sqs_to_tell_of_the_images_it_forgot():
    world = World()
    world.autoscaler()
    world.seconds(5)
    world.web.started, world.requests.shown = world.clock.now(), Counts(15, 5)
    world.seconds(6)
    assert world.web.told[-1].desired == 5


def test_an_instance_is_told_to_leave_once_although_ec2_does_not_show_the_tag_yet():
    world = World(boot=60)
    world.autoscaler(scale_in_seconds=1)
    show = world.ec2.all
    world.ec2.all = lambda expected: [one._replace(draining=False) for one in show(expected)]
    world.web.outstanding = 4
    world.second()
    world.web.outstanding = 0
    world.seconds(10)
    assert [name for name, _ in world.ec2.script.calls if name == "drain"] == ["drain"]


def test_a_fleet_that_cannot_be_heard_is_not_shrunk():
    world = World()
    world.autoscaler(scale_in_seconds=1)
    world.web.outstanding = 16
    world.seconds(3)
    world.events.script.fail("receive", UNREACHABLE, times=30)
    world.web.outstanding = 0
    world.seconds(30)
    assert world.alive == 4
    world.seconds(20)
    assert world.alive == 0


def test_scale_in_drains_and_never_terminates():
    world = World()
    world.autoscaler(scale_in_seconds=1)
    world.web.outstanding = 40
    world.seconds(60)
    called = [name for name, _ in world.ec2.script.calls]
    assert world.alive == 0
    assert "drain" in called
    assert "terminate" not in called


def test_nobody_is_told_to_leave_when_the_lease_is_over_by_then():
    world = World()
    scaler = world.autoscaler(minimum=1)
    world.seconds(2)
    world.clock.sleep(11)
    scaler.loop._actor._drain(world.ec2.alive)
    assert "drain" not in [name for name, _ in world.ec2.script.calls]
