"""Instances whose worker never came up or fell silent are ended, the others left alone."""

import structlog
from scaler_world import UNREACHABLE, World

from skylens.fakes import aws_error
from skylens.messages import WorkerEvent, encode


def test_an_instance_that_never_gets_ready_is_terminated_after_the_boot_timeout_and_replaced():
    world = World(hang_all=True)
    world.autoscaler(boot_timeout=90, maximum=1)
    world.web.outstanding = 4
    with structlog.testing.capture_logs() as lines:
        world.seconds(90)
        assert world.launches == 1
        world.seconds(5)
    assert [line["event"] for line in lines if line["event"].startswith("instance.")] == ["instance.never_ready"]
    assert (world.alive, world.launches, world.ec2.peak) == (1, 2, 1)


def test_a_worker_silent_for_five_minutes_is_terminated_as_lost():
    world = World(boot=1)
    world.autoscaler(minimum=1)
    world.seconds(10)
    (machine,) = world.machines.values()
    machine.mute = True
    world.seconds(290)
    assert world.launches == 1
    with structlog.testing.capture_logs() as lines:
        world.seconds(20)
    assert "instance.lost" in [line["event"] for line in lines]
    assert (world.alive, world.launches) == (1, 2)


def test_a_worker_that_starts_anew_at_work_keeps_its_instance_also_if_another_says_so():
    world = World(boot=1)
    world.autoscaler(minimum=2, boot_timeout=60)
    world.web.outstanding = 100_000
    world.seconds(90)
    for one in world.ec2.alive:
        event = WorkerEvent(kind="launched", instance=one, at=world.clock.now() + 3)
        world.events.send(encode(event))
    world.seconds(10)
    assert (world.launches, world.ec2.killed_at_work) == (20, [])


def test_a_deaf_autoscaler_gives_nobody_up():
    world = World(boot=1)
    world.autoscaler(minimum=2)
    world.seconds(10)
    world.events.script.fail("receive", UNREACHABLE, times=400)
    world.seconds(450)
    assert (world.alive, world.launches) == (2, 2)


def test_workers_found_by_a_restarted_autoscaler_are_not_taken_for_never_ready():
    world = World(boot=1)
    first = world.autoscaler(minimum=2, boot_timeout=60)
    world.seconds(100)
    first.stops()
    world.seconds(100)
    world.autoscaler(minimum=2, boot_timeout=60)
    world.seconds(200)
    assert (world.alive, world.launches) == (2, 2)


def test_an_instance_that_may_not_be_terminated_does_not_keep_the_others():
    world = World(hang_all=True)
    world.autoscaler(boot_timeout=90, maximum=3)
    world.web.outstanding = 12
    world.second()
    protected, *others = world.ec2.alive
    terminate = world.ec2.terminate

    def refuse(one):
        if one == protected:
            raise aws_error("OperationNotPermitted")
        terminate(one)

    world.ec2.terminate = refuse
    with structlog.testing.capture_logs() as lines:
        world.seconds(95)
    assert [line["instance"] for line in lines if line["event"] == "instance.never_ready"] == others
    assert [line["what"] for line in lines if line["event"] == "scaler.trouble"] == [f"terminate {protected}"]
    assert (protected in world.ec2.alive, world.alive, world.ec2.peak) == (True, 3, 3)
