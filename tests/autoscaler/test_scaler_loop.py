import itertools
import threading

import structlog
from scaler_world import World

from autoscaler.lease import KEY, Held
from skylens.messages import decode


def test_a_dry_run_decides_and_reports_to_nobody():
    world = World()
    scaler = world.autoscaler(dry_run=True)
    world.web.outstanding = 20
    with structlog.testing.capture_logs() as lines:
        world.seconds(3)
    assert [line["new"] for line in lines if line["event"] == "scaler.decision"] == [5]
    assert (world.launches, world.web.told, world.store.objects) == (0, [], {})
    assert not scaler.listener.listening


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


def test_a_tick_that_breaks_is_said_and_the_next_one_goes_on():
    world = World()
    scaler = world.autoscaler()
    world.web.outstanding = 8
    stop, asked = threading.Event(), []
    demands = world.web.demands

    def broken():
        asked.append(world.clock.now())
        world.clock.sleep(1)
        if len(asked) == 1:
            raise UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "a proxy's page")
        if len(asked) == 4:
            stop.set()
        return demands()

    world.web.demands = broken
    scaler.listener.start()
    with structlog.testing.capture_logs() as lines:
        scaler.loop.run(stop)
    scaler.listener.stop()
    assert [line["event"] for line in lines].count("scaler.tick_broke") == 1
    assert scaler.metrics.registry.get_sample_value("skylens_scaler_broken_ticks_total") == 1
    assert world.launches == 2
