import contextlib
import itertools
import threading

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from scaler_world import UNREACHABLE, World

from autoscaler.lease import KEY, Held
from skylens.fakes import aws_error
from skylens.messages import decode
from skylens.queues import Counts


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


def test_no_capacity_anywhere_is_survived_said_once_and_tried_again_after_three_minutes():
    world = World()
    world.ec2.capacity = 0
    world.autoscaler(subnets="subnet-a,subnet-b")
    world.web.outstanding = 8
    with structlog.testing.capture_logs() as lines:
        world.seconds(100)
    assert [line["subnet"] for line in lines if line["event"] == "fleet.capacity"] == ["subnet-a", "subnet-b"]
    assert [line["kind"] for line in lines if line.get("what") == "capacity"] == ["none"]
    world.ec2.capacity = 100
    world.seconds(81)
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


def slow_web(world, seconds):
    """Let the next answer of the web node take that long."""
    demands = world.web.demands

    def slow():
        world.web.demands = demands
        world.clock.sleep(seconds)
        return demands()

    world.web.demands = slow


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


@contextlib.contextmanager
def refusing(service, *methods):
    """Every call of these methods fails for a while."""

    def refuse(*arguments, **named):
        raise UNREACHABLE

    with pytest.MonkeyPatch.context() as patch:
        for method in methods:
            patch.setattr(service, method, refuse)
        yield


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


def test_an_instance_is_told_to_leave_once_although_ec2_does_not_show_the_tag_yet():
    world = World(boot=60)
    world.autoscaler(scale_in_seconds=1)
    show = world.ec2.all
    world.ec2.all = lambda: [one._replace(draining=False) for one in show()]
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


def test_a_dry_run_decides_and_reports_to_nobody():
    world = World()
    scaler = world.autoscaler(dry_run=True)
    world.web.outstanding = 20
    with structlog.testing.capture_logs() as lines:
        world.seconds(3)
    assert [line["new"] for line in lines if line["event"] == "scaler.decision"] == [5]
    assert (world.launches, world.web.told, world.store.objects) == (0, [], {})
    assert not scaler.listener.listening


def test_scale_in_drains_and_never_terminates():
    world = World()
    world.autoscaler(scale_in_seconds=1)
    world.web.outstanding = 40
    world.seconds(60)
    called = [name for name, _ in world.ec2.script.calls]
    assert world.alive == 0
    assert "drain" in called
    assert "terminate" not in called


def test_deficit_launches_once_for_a_burst_and_its_workers_leave_by_themselves():
    world = World(idle_timeout=5)
    world.autoscaler(policy="deficit", maximum=6)
    world.web.outstanding = 50
    world.seconds(40)
    assert (world.alive, world.launches, world.web.outstanding) == (0, 6, 0)
    assert "drain" not in [name for name, _ in world.ec2.script.calls]


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


def test_the_decision_log_has_a_line_at_each_change_and_every_half_minute():
    world = World(boot=5)
    world.autoscaler(maximum=20)
    with structlog.testing.capture_logs() as lines:
        world.seconds(10)
        world.web.outstanding = 97
        world.second()
    decisions = [line for line in lines if line["event"] == "scaler.decision"]
    assert (decisions[-1]["old"], decisions[-1]["desired"], decisions[-1]["new"]) == (0, 20, 20)
    assert decisions[-1]["reason"] == "97 outstanding, 4 per instance"
    assert len(decisions) <= 3
    quiet = World()
    quiet.autoscaler()
    quiet.seconds(5)
    with structlog.testing.capture_logs() as lines:
        quiet.seconds(90)
    assert len([line for line in lines if line["event"] == "scaler.decision"]) == 3


def test_measured_boots_replace_the_expected_boot_time():
    world = World(boot=7)
    world.autoscaler(expected_boot_seconds=60)
    world.web.outstanding = 4
    world.second()
    assert world.web.told[-1].boot_seconds == 60
    world.seconds(12)
    assert world.web.told[-1].boot_seconds == 8


def test_ticks_that_overrun_are_counted_and_not_made_up():
    world = World()
    scaler = world.autoscaler()
    stop, ticks = threading.Event(), []
    demands = world.web.demands

    def slow():
        ticks.append(world.clock.now())
        world.clock.sleep(3)
        if len(ticks) == 4:
            stop.set()
        return demands()

    world.web.demands = slow
    scaler.listener.start()
    scaler.loop.run(stop)
    scaler.listener.stop()
    assert scaler.metrics.registry.get_sample_value("skylens_scaler_overruns_total") == 4
    assert [after - before for before, after in itertools.pairwise(ticks)] == [3, 3, 3]


class Turning(threading.Event):
    """A stop event whose waits turn the world's clock instead, and note whether the lease was held after them."""

    def __init__(self, world, scaler, waits):
        super().__init__()
        self.world, self.scaler, self.waits, self.held = world, scaler, waits, []

    def wait(self, timeout=None):
        self.held.append(self.scaler.lease.held)
        self.world.clock.sleep(timeout)
        if len(self.held) == self.waits:
            self.set()
        return self.is_set()


def test_the_lease_is_kept_between_distant_ticks():
    world = World()
    scaler = world.autoscaler(tick_seconds=60, lease_seconds=10)
    stop = Turning(world, scaler, 40)
    scaler.listener.start()
    scaler.loop.run(stop)
    scaler.listener.stop()
    assert stop.held == [True] * 40
    assert len(world.web.told) == 3


def test_a_stopped_loop_leaves_the_fleet_and_frees_the_lease():
    world = World()
    scaler = world.autoscaler(minimum=2)
    stop = threading.Event()
    tell = world.web.tell

    def last(report):
        stop.set()
        return tell(report)

    world.web.tell = last
    scaler.listener.start()
    scaler.loop.run(stop)
    scaler.listener.stop()
    assert world.alive == 2
    assert decode(Held, world.store.objects[KEY][0]).owner == ""
    assert not scaler.listener.alive


def test_a_dead_listener_ends_the_loop():
    world = World()
    scaler = world.autoscaler()
    scaler.loop.run(threading.Event())
    assert not scaler.listener.alive


happening = st.sampled_from(["", "", "", "throttle", "lose", "unreachable", "kill", "stop", "down", "up", "sqs"])


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 30), happening), min_size=5, max_size=60),
    lag=st.integers(0, 8),
    boot=st.integers(0, 20),
    maximum=st.integers(1, 8),
    capacity=st.integers(0, 10),
    policy=st.sampled_from(["greedy", "deficit"]),
)
def test_whatever_happens_the_fleet_is_never_above_the_maximum_and_no_busy_worker_is_terminated(
    steps, lag, boot, maximum, capacity, policy
):
    world = World(boot=boot, idle_timeout=4 if policy == "deficit" else 0)
    world.ec2.lag, world.ec2.capacity = lag, capacity
    options = {"policy": policy, "maximum": maximum, "scale_in_seconds": 2, "boot_timeout": 100}
    world.autoscaler(**options)
    for arrivals, event in steps:
        world.web.outstanding += arrivals
        happen(world, event, options)
        world.second()
        assert world.ec2.peak <= maximum
    world.web.down, world.ec2.lose = False, 0
    world.seconds(10)
    assert world.ec2.peak <= maximum
    assert world.ec2.killed_at_work == []


def happen(world, event, options):
    if event == "throttle":
        world.ec2.script.fail("launch", aws_error("RequestLimitExceeded"))
    elif event == "unreachable":
        world.ec2.script.fail("all", UNREACHABLE, times=3)
    elif event == "lose":
        world.ec2.lose = 1
    elif event in {"kill", "stop"}:
        scaler = world.autoscalers[-1]
        scaler.dies() if event == "kill" else scaler.stops()
        world.autoscaler(**options)
    elif event in {"down", "up"}:
        world.web.down = event == "down"
    elif event == "sqs":
        world.requests.shown = Counts(50, 0)
