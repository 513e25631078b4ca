import threading
import time

from botocore.exceptions import EndpointConnectionError

from autoscaler.fleets import Look
from autoscaler.listener import Listener
from autoscaler.metrics import Metrics
from autoscaler.roster import Roster
from autoscaler.trouble import Troubles
from skylens.clock import Clock, FakeClock
from skylens.fakes import FakeQueue
from skylens.instances import Instance
from skylens.messages import WorkerEvent, encode

UNREACHABLE = EndpointConnectionError(endpoint_url="https://sqs")


class Stage:
    def __init__(self, clock=None):
        self.fake = FakeClock()
        self.clock = clock or self.fake.clock()
        self.queue = FakeQueue(self.clock)
        self.roster = Roster(self.clock)
        self.roster.look(Look([Instance("i-1", "running", self.clock.now(), draining=False)]))
        self.listener = Listener(self.queue, self.roster, Troubles(Metrics()), self.clock)

    def beat(self, at=None):
        now = self.clock.now()
        self.queue.send(encode(WorkerEvent(kind="heartbeat", instance="i-1", at=at or now)))

    def state(self):
        return self.roster.workers()[0].state


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited for 10 seconds"
        time.sleep(0.01)


def test_the_thread_hears_events_while_told_to_and_stops():
    stage = Stage(Clock())
    stage.listener.start()
    stage.beat()
    assert stage.state() == "booting"
    stage.listener.listen(on=True)
    until(lambda: stage.state() == "idle")
    until(lambda: not stage.queue.messages)
    stage.listener.stop()
    assert not stage.listener.alive


def test_helpers_take_events_while_there_are_many_and_each_is_heard_once():
    stage = Stage(Clock())
    heard, takers = [], set()
    receive = stage.queue.receive

    def slow(most, wait):
        taken = receive(most, wait)
        if taken:
            takers.add(threading.current_thread().name)
            time.sleep(0.01)
        return taken

    stage.queue.receive = slow
    stage.roster.hear = lambda event, _: heard.append(event.at)
    for number in range(1, 501):
        stage.beat(number)
    stage.listener.listen(on=True)
    stage.listener.start()
    until(lambda: not stage.queue.messages)
    stage.listener.stop()
    assert sorted(heard) == list(range(1, 501))
    assert len(takers) > 1
    assert not stage.listener.alive


def test_the_thread_stops_although_it_was_never_told_to_listen():
    stage = Stage(Clock())
    stage.listener.start()
    stage.listener.stop()
    assert not stage.listener.alive


def test_an_unreadable_event_is_dropped_and_the_next_is_heard():
    stage = Stage()
    stage.queue.send(b"rubbish")
    stage.queue.send(b'{"v": 2}')
    stage.beat()
    assert stage.listener.step()
    assert (stage.state(), stage.queue.messages) == ("idle", {})


def test_sqs_out_of_reach_makes_it_deaf_and_it_recovers():
    stage = Stage()
    stage.listener.step()
    stage.fake.sleep(10)
    assert (stage.listener.hearing, stage.listener.deaf) == (10, False)
    stage.queue.script.fail("receive", UNREACHABLE)
    assert not stage.listener.step()
    assert (stage.listener.hearing, stage.listener.deaf, stage.listener.age) == (0, True, 10)
    stage.listener.step()
    assert not stage.listener.deaf


def test_a_thread_stuck_in_a_call_is_deaf_after_a_while():
    stage = Stage()
    stage.listener.step()
    stage.fake.sleep(16)
    assert (stage.listener.hearing, stage.listener.deaf) == (0, True)


def test_catching_up_with_old_events_is_not_hearing():
    stage = Stage()
    stage.listener.step()
    stage.beat()
    stage.fake.sleep(40)
    stage.listener.step()
    assert stage.listener.hearing == 0
    stage.fake.sleep(5)
    assert stage.listener.hearing == 5


def test_events_whose_deletion_failed_come_again_and_do_no_harm():
    stage = Stage()
    stage.queue.script.fail("delete", UNREACHABLE)
    stage.beat()
    assert not stage.listener.step()
    stage.fake.sleep(31)
    stage.listener.step()
    assert stage.queue.messages == {}
    assert stage.state() == "ready"
