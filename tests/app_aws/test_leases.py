"""Messages in work stay hidden, even when AWS refuses an extension now and then."""

import pytest
from parts import until

from app_aws.leases import LONGEST, Leases
from skylens.clock import Clock, FakeClock
from skylens.fakes import FakeQueue, aws_error


def extensions(queue):
    return [arguments for method, arguments in queue.script.calls if method == "extend"]


def test_all_that_is_held_is_extended_and_nothing_else():
    clock = FakeClock()
    queue = FakeQueue(clock.clock(), visibility=30)
    for body in (b"a", b"b", b"c"):
        queue.send(body)
    held = [one.receipt for one in queue.receive(3)]
    leases = Leases(queue, 30, clock.clock())
    leases.hold(held)
    leases.let_go(held[1])
    clock.sleep(20)
    assert leases.extend()
    clock.sleep(20)
    assert [one.body for one in queue.receive(3, wait=0)] == ["b"]


def test_nothing_held_is_nothing_asked():
    queue = FakeQueue()
    assert Leases(queue, 30, Clock()).extend()
    assert extensions(queue) == []


def test_a_failed_extension_is_tried_again_soon():
    queue = FakeQueue(Clock())
    queue.script.fail("extend", aws_error("ServiceUnavailable", 503), times=2)
    leases = Leases(queue, 30, Clock(), interval=0.02)
    leases.hold(["0:1"])
    leases.start()
    until(lambda: len(extensions(queue)) >= 4, "four attempts")
    leases.stop()
    leases.thread.join(10)
    assert not leases.thread.is_alive()


def test_what_hangs_is_let_go_and_told():
    clock = FakeClock()
    queue = FakeQueue(clock.clock(), visibility=30)
    leases = Leases(queue, 30, clock.clock())
    leases.hold(["0:1"])
    clock.sleep(LONGEST - 1)
    leases.hold(["1:1"])
    assert (leases.hung(), leases.extend()) == (0, True)
    clock.sleep(1)
    assert (leases.hung(), leases.extend()) == (1, True)
    assert extensions(queue) == [("0:1", "1:1", 30), ("1:1", 30)]
    leases.let_go("0:1")
    assert leases.hung() == 0


@pytest.mark.parametrize("visibility", [5, 30])
def test_an_extension_comes_at_a_third_of_the_timeout(visibility):
    assert Leases(FakeQueue(), visibility, Clock())._interval == visibility / 3
