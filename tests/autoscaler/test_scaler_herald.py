"""What the service manager hears of the autoscaler: ready, alive, and the last decision."""

import threading

import pytest
from scaler_world import NODE, World
from service_manager import ServiceManager

from autoscaler.herald import STANDBY, Herald
from autoscaler.loop import LONGEST_REST
from skylens.systemd import STATUS_EVERY, Notifier


@pytest.fixture
def world():
    return World()


@pytest.fixture
def manager(tmp_path):
    with ServiceManager(tmp_path, watchdog=6) as made:
        yield made


class Turning(threading.Event):
    """A stop event whose waits turn the world's clock instead, and which is set after so many seconds.

    The service manager hears at each turn: a socket holds ten messages, and this clock runs faster than its thread.
    """

    def __init__(self, world, manager, seconds):
        super().__init__()
        self.world, self.manager, self.end = world, manager, world.clock.now() + seconds

    def wait(self, timeout=None):
        self.manager.heard()
        self.world.clock.sleep(timeout)
        if self.world.clock.now() >= self.end:
            self.set()
        return self.is_set()


def run(world, scaler, manager, seconds):
    """Let an autoscaler run in front of a service manager; what that heard."""
    herald = Herald(Notifier(manager.environ, 0, world.clock.clock()), scaler.lease)
    scaler.loop._parts = scaler.loop._parts._replace(watchers=(herald,))
    scaler.listener.start()
    scaler.loop.run(Turning(world, manager, seconds), herald.turned)
    scaler.listener.stop()
    return manager.heard()


def test_an_autoscaler_is_ready_with_its_first_decision_and_tells_the_later_ones_now_and_then(world, manager):
    world.web.outstanding = 8
    heard = run(world, world.autoscaler(), manager, 3 * STATUS_EVERY)
    told = [line for line in heard if line != "WATCHDOG=1"]
    assert told[:2] == ["READY=1", "STATUS=2 instances wanted, 0 there: 8 outstanding, 4 per instance"]
    assert told[2:] == ["STATUS=2 instances wanted, 2 there: 8 outstanding, 4 per instance"]
    assert heard.count("WATCHDOG=1") == 3 * STATUS_EVERY


def test_a_standby_is_ready_and_alive_too(world, manager):
    leader, standby = world.autoscaler(), world.autoscaler()
    leader.tick()
    heard = run(world, standby, manager, 5)
    assert heard[:3] == ["WATCHDOG=1", "READY=1", f"STATUS={STANDBY}"]
    assert heard.count("WATCHDOG=1") == 5


def test_a_standby_that_takes_over_says_so(world, manager):
    leader, standby = world.autoscaler(), world.autoscaler()
    leader.tick()
    heard = run(world, standby, manager, 20)
    assert [line for line in heard if line.startswith("STATUS=")][
        -1
    ] == "STATUS=0 instances wanted, 0 there: 0 outstanding, 4 per instance"


def test_an_autoscaler_that_only_breaks_never_gets_ready(world, manager):
    def broken():
        raise UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "a proxy's page")

    world.web.demands = broken
    assert set(run(world, world.autoscaler(), manager, 5)) == {"WATCHDOG=1"}


def test_signs_of_life_come_between_distant_ticks(world, manager):
    scaler = world.autoscaler(tick_seconds=60, lease_seconds=600, web_nodes=NODE)
    heard = run(world, scaler, manager, 59)
    assert heard.count("WATCHDOG=1") == 60 / LONGEST_REST
