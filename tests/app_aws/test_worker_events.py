"""The autoscaler hears of a worker in order, at once when it turns, and never at work's expense."""

import itertools

import pytest
from parts import several, until

from app_aws import events as events_module
from app_aws.events import Events
from app_aws.tally import Tally
from skylens.clock import Clock
from skylens.fakes import FakeQueue, aws_error
from skylens.messages import WorkerEvent, read


class Setting:
    def __init__(self, every=60.0):
        self.queue, self.tally = FakeQueue(), Tally(4, Clock())
        self.cpu = itertools.count(50, 12.5)
        self.events = Events(self.queue, "i-1", self.tally, Clock(), every, lambda: next(self.cpu))
        self.events.start()

    def heard(self):
        return [read(WorkerEvent, message.body) for message in list(self.queue.messages.values())]

    def kinds(self):
        return [event.kind for event in self.heard()]


@pytest.fixture
def setting():
    def close(one):
        one.events.close("test", 10)
        assert not one.events.thread.is_alive()

    yield from several(Setting, close)


def test_a_life_is_told_in_order(setting):
    one = setting()
    for kind in ("launched", "ready", "draining"):
        one.events.say(kind)
    one.events.close("idle", 10)
    assert one.kinds() == ["launched", "ready", "draining", "stopped"]
    assert one.heard()[-1].reason == "idle"
    assert {event.instance for event in one.heard()} == {"i-1"}


def test_heartbeats_begin_with_ready_and_repeat(setting):
    one = setting(every=0.01)
    one.events.say("launched")
    until(lambda: one.kinds() == ["launched"])
    one.events.turned()
    one.events.say("ready")
    until(lambda: one.kinds()[2:4] == ["heartbeat", "heartbeat"])
    assert one.kinds()[:2] == ["launched", "ready"]


def test_turning_busy_is_told_at_once_with_what_was_done(setting):
    one = setting()
    one.events.say("ready")
    until(lambda: one.kinds() == ["ready"])
    one.tally.take(3)
    one.tally.enter()
    one.tally.enter()
    one.tally.leave(0.5)
    one.tally.give_back(answered=True)
    one.tally.leave(None)
    one.tally.give_back(answered=False)
    one.events.turned()
    until(lambda: len(one.heard()) == 2)
    beat = one.heard()[1]
    assert (beat.kind, beat.in_flight, beat.slots, beat.done, beat.service_times) == ("heartbeat", 1, 4, 1, (0.5,))
    assert beat.busy


def test_many_turns_make_few_heartbeats(setting, monkeypatch):
    monkeypatch.setattr(events_module, "LEAST_PAUSE", 30.0)
    one = setting()
    one.events.say("ready")
    until(lambda: one.kinds() == ["ready"])
    for _ in range(50):
        one.events.turned()
    one.events.close("done", 10)
    assert one.kinds() == ["ready", "stopped"]


def test_only_a_heartbeat_tells_the_cpu_and_only_that_since_the_event_before(setting):
    one = setting()
    one.events.say("ready")
    until(lambda: one.kinds() == ["ready"])
    one.events.turned()
    until(lambda: len(one.heard()) == 2)
    assert [event.cpu for event in one.heard()] == [None, 62.5]


def test_each_service_time_is_told_once(setting):
    one = setting()
    one.tally.take(1)
    one.tally.enter()
    one.tally.leave(0.25)
    one.tally.give_back(answered=True)
    one.events.say("ready")
    one.events.say("draining")
    until(lambda: len(one.heard()) == 2)
    assert [event.service_times for event in one.heard()] == [(0.25,), ()]


@pytest.mark.parametrize("error", [aws_error("Throttling"), RuntimeError("a bug")])
def test_an_event_that_cannot_be_sent_is_given_up(setting, error):
    one = setting()
    one.queue.script.fail("send", error)
    one.events.say("launched")
    one.events.say("ready")
    until(lambda: one.kinds() == ["ready"])
