"""The receive loop takes no more than it can work on, outlives AWS's troubles and hands back what came too late."""

import threading

import pytest
from parts import several, until

from app_aws.backoff import Backoff
from app_aws.leases import Leases
from app_aws.receiver import Receiver
from app_aws.tally import Tally
from skylens.clock import Clock
from skylens.fakes import FakeQueue, aws_error
from skylens.messages import encode


class Setting:
    """A receiver whose work is held until released; ``handled`` lists the bodies in work and done."""

    def __init__(self, slots=2, held=0):
        self.queue, self.tally = FakeQueue(), Tally(slots, Clock(), held)
        self.leases, self.backoff = Leases(self.queue, 30, Clock()), Backoff(lambda: 0.0)
        self.handled, self.turns = [], []
        self.gate = threading.Event()
        self.gate.set()
        self.errors = {}
        self.receiver = Receiver(
            self.queue,
            self.handle,
            self.tally,
            self.leases,
            lambda: self.turns.append(self.tally.count().in_flight),
            Clock(),
            self.backoff,
        )

    def handle(self, received, worked):
        self.handled.append(received.body)
        assert self.gate.wait(10)
        if received.body in self.errors:
            raise self.errors.pop(received.body)
        worked()
        self.queue.delete([received.receipt])
        return True

    def send(self, *bodies):
        for body in bodies:
            self.queue.send(body.encode())

    def asked(self):
        """How many messages each receive asked for."""
        return [arguments[0] for method, arguments in list(self.queue.script.calls) if method == "receive"]


@pytest.fixture
def setting():
    def close(one):
        one.gate.set()
        one.receiver.stop()
        until(lambda: one.receiver.finished(0.1))
        for thread in one.receiver.threads:
            if thread.ident:
                thread.join(10)
                assert not thread.is_alive()

    yield from several(Setting, close)


def test_it_never_holds_more_than_its_slots(setting):
    one = setting(slots=2)
    one.gate.clear()
    one.send("a", "b", "c", "d")
    one.receiver.start()
    until(lambda: len(one.handled) == 2)
    assert one.queue.counts().visible == 2
    assert one.asked() == [2]
    one.gate.set()
    until(lambda: one.tally.count().done == 4)
    assert one.queue.messages == {}


def test_it_asks_for_at_most_ten(setting):
    one = setting(slots=16)
    one.receiver.start()
    until(one.asked)
    assert set(one.asked()) == {10}


def test_what_is_in_work_is_held_until_it_is_done(setting):
    one = setting()
    one.gate.clear()
    one.send("a")
    one.receiver.start()
    until(lambda: one.handled)
    assert set(one.leases._held) == {"0:1"}
    one.gate.set()
    until(lambda: one.tally.settled(0))
    assert one.leases._held == {}


def test_turning_busy_and_idle_is_told(setting):
    one = setting()
    one.gate.clear()
    one.send("a", "b")
    one.receiver.start()
    until(lambda: len(one.handled) == 2)
    one.gate.set()
    until(lambda: len(one.turns) >= 2)
    assert one.turns[-1] == 0


@pytest.mark.parametrize("error", [aws_error("SlowDown", 503), RuntimeError("a bug")])
def test_work_that_fails_stays_on_the_queue_and_frees_its_slot(setting, error):
    one = setting(slots=1)
    one.errors["a"] = error
    one.send("a", "b")
    one.receiver.start()
    until(lambda: one.handled == ["a", "b"] and one.tally.settled(0))
    assert [message.body for message in one.queue.messages.values()] == ["a"]
    assert one.tally.count().done == 1
    assert one.leases._held == {}


def test_aws_trouble_at_work_slows_the_receiving_down(setting):
    one = setting()
    one.errors["a"] = aws_error("SlowDown", 503)
    one.gate.clear()
    one.send("a")
    one.receiver.start()
    until(lambda: one.handled)
    assert one.backoff.seconds() == 0
    one.gate.set()
    until(lambda: one.backoff.seconds() == 0.25, "a pause of half a second, halved by jitter")


def test_it_goes_on_when_receiving_fails_and_does_not_count_as_idle(setting):
    one = setting()
    one.tally._last_work = -1e6
    one.queue.script.fail("receive", aws_error("ServiceUnavailable", 503))
    one.send("a")
    one.receiver.start()
    until(lambda: one.tally.idle() < 1e5, "the idle time starts anew")
    until(lambda: one.handled == ["a"])


def test_a_refused_receive_does_not_keep_an_idle_worker_alive(setting):
    one = setting()
    one.tally._last_work = -1e6
    one.queue.script.fail("receive", aws_error("AccessDenied", 403), times=3)
    one.receiver.start()
    until(lambda: len(one.asked()) >= 2)
    assert one.tally.idle() > 1e5


class LatePoll(FakeQueue):
    """A queue whose poll brings its message only after the receiver was told to stop."""

    def __post_init__(self):
        super().__post_init__()
        self.polling, self.stopped = threading.Event(), threading.Event()

    def receive(self, most, wait=20):
        self.polling.set()
        assert self.stopped.wait(10)
        return super().receive(most, wait)


def test_what_a_last_poll_brings_is_handed_back_at_once(setting):
    one = setting()
    one.queue = one.receiver._requests = LatePoll()
    one.send("a", "b")
    one.receiver.start()
    assert one.queue.polling.wait(10)
    one.receiver.stop()
    assert not one.receiver.finished(0)
    one.queue.stopped.set()
    until(lambda: one.receiver.finished(0.1))
    assert one.queue.counts().visible == 2
    assert one.handled == []


def test_stopping_waits_for_work_and_takes_no_more(setting):
    one = setting(slots=1)
    one.gate.clear()
    one.send("a", "b")
    one.receiver.start()
    until(lambda: one.handled == ["a"])
    one.receiver.stop()
    assert not one.receiver.finished(0)
    one.gate.set()
    until(lambda: one.receiver.finished(0.1))
    assert one.handled == ["a"]
    assert one.queue.counts() == (1, 0)


def test_one_that_never_started_is_finished(setting):
    assert setting().receiver.finished(0)


@pytest.mark.parametrize(
    ("error", "receives", "copies"),
    [
        (aws_error("SlowDown", 503), 1, 0),
        (aws_error("SlowDown", 503), 2, 1),
        (aws_error("AccessDenied", 403), 2, 1),
        (aws_error("ExpiredToken"), 2, 1),
        (aws_error("NoSuchBucket", 404), 2, 1),
        (aws_error("InvalidMessageContents"), 2, 0),
        (aws_error("InvalidObjectState", 403), 2, 0),
        (RuntimeError("broken"), 2, 0),
    ],
)
def test_any_aws_trouble_late_in_its_life_queues_an_image_anew(setting, error, receives, copies):
    one = setting(slots=1)
    one.queue.visibility = 0.0
    one.send("a")
    for _ in range(receives - 1):
        one.queue.receive(1, 0)
    one.queue.visibility = 600.0
    one.errors["a"] = error
    one.receiver.start()
    until(lambda: one.handled == ["a"] * (1 + copies) and one.tally.settled(0))
    assert [message.receives for message in one.queue.messages.values()] == ([] if copies else [receives])


def test_trouble_queues_nothing_anew_that_nobody_wants_any_more(setting):
    one, body = setting(slots=1), encode({"deadline": Clock().now() - 1}).decode()
    one.queue.dead, one.queue.max_receives, one.queue.visibility = FakeQueue(), 3, 0.05
    one.receiver._handle = always_in_trouble
    one.send(body)
    one.receiver.start()
    until(lambda: [message.body for message in one.queue.dead.messages.values()] == [body])


def always_in_trouble(received, worked):
    raise aws_error("AccessDenied", 403)


def test_an_image_survives_an_outage_longer_than_its_receives(setting):
    one = setting(slots=1)
    one.queue.dead, one.queue.visibility = FakeQueue(), 0.05
    one.queue.max_receives, outage = 3, iter(range(4))
    real = one.handle

    def handle(received, worked):
        if next(outage, None) is not None:
            raise aws_error("SlowDown", 503)
        return real(received, worked)

    one.receiver._handle = handle
    one.send("a")
    one.receiver.start()
    until(lambda: one.handled == ["a"] and not one.queue.messages)
    assert one.queue.dead.messages == {}


def test_an_image_that_is_being_answered_leaves_its_slot_to_the_next(setting):
    one = setting(slots=1, held=3)
    answering = threading.Event()

    def handle(received, worked):
        one.handled.append(received.body)
        worked()
        assert answering.wait(10)
        one.queue.delete([received.receipt])
        return True

    one.receiver._handle = handle
    one.send("a", "b", "c", "d")
    one.receiver.start()
    until(lambda: len(one.handled) == 3)
    assert set(one.asked()) == {1}
    assert one.tally.count().in_flight == 3
    assert one.queue.counts().visible == 1
    answering.set()
    until(lambda: one.tally.count().done == 4)
