"""A worker from ready to gone, on fakes: it answers everything it took and leaves for the right reason, in order."""

import threading

import pytest
from parts import Bench, several, until
from service_manager import ServiceManager

from app_aws.backoff import Backoff
from app_aws.batcher import Batcher
from app_aws.events import Events
from app_aws.leases import LONGEST, Leases
from app_aws.lifecycle import LEASE, AutoscalerLease, Rules
from app_aws.receiver import Receiver
from app_aws.switch import Fixed, Serving, Switch
from app_aws.tally import Tally
from app_aws.worker import Parts, Worker
from skylens import systemd
from skylens.clock import Clock, FakeClock
from skylens.fakes import FakeQueue, FakeStore
from skylens.messages import WorkerEvent, read


class Setting:
    """A whole worker; ``ended`` says how ``run`` returned; on ``hours`` its leases run."""

    def __init__(self, *, rules=None, patience=30.0, slots=2, notifier=systemd.NOBODY):
        self.bench, self.hours = Bench(), FakeClock()
        self.notice, self.state = None, FakeStore()
        clock = Clock()
        self.gate = threading.Event()
        self.gate.set()
        self.engine = self.bench.engine
        self.tally, self.events_queue = Tally(slots, clock), FakeQueue()
        events = Events(self.events_queue, "i-1", self.tally, clock, 60, lambda: None)
        events.start()
        events.say("launched")
        self.batcher = Batcher(self.infer, 4, 0.0)
        models = Switch(Serving(self.engine, self.batcher), Fixed(), clock, 0)
        recogniser = self.bench.recogniser(models)
        leases = Leases(self.bench.requests, 30, self.hours.clock(), interval=0.01)
        receiver = Receiver(
            self.bench.requests, recogniser.handle, self.tally, leases, events.turned, clock, Backoff(lambda: 0.0)
        )
        self.parts = Parts(receiver, models, leases, events, self.tally)
        self.worker = Worker(
            self.parts,
            rules or Rules(0, 0, resident=False),
            AutoscalerLease(self.state, clock),
            lambda: self.notice,
            clock,
            look_seconds=0.01,
            patience=patience,
            notifier=notifier,
        )
        self.ended = []
        self.thread = threading.Thread(target=lambda: self.ended.append(self.worker.run()))

    def infer(self, batch):
        assert self.gate.wait(20)
        return self.engine.infer(batch)

    def start(self):
        self.thread.start()
        return self

    def told(self):
        return [read(WorkerEvent, message.body) for message in list(self.events_queue.messages.values())]

    def extensions(self):
        return sum(method == "extend" for method, _ in list(self.bench.requests.script.calls))

    def life(self):
        return [event.kind for event in self.told() if event.kind != "heartbeat"]

    def gone(self):
        """Wait for the end; what ``run`` returned."""
        self.thread.join(20)
        assert self.ended, "the worker did not end"
        return self.ended[0]


@pytest.fixture
def setting():
    def close(one):
        one.gate.set()
        one.worker.leave("SIGTERM")
        if one.thread.ident:
            one.thread.join(20)
            one.batcher.stop(10)
        for thread in [*one.parts.receiver.threads, *one.batcher.threads, one.parts.leases.thread]:
            if thread.ident:
                thread.join(10)
                assert not thread.is_alive()

    yield from several(Setting, close)


def test_it_answers_many_images_each_with_its_own_label(setting):
    one = setting(slots=4)
    kinds = {f"image-{number}": (b"cat", b"dog")[number % 2] for number in range(40)}
    for name, data in kinds.items():
        one.bench.ask(data, name=name)
    one.start()
    until(lambda: len(one.bench.replies.messages) == 40)
    one.worker.leave("SIGTERM")
    assert one.gone()
    answers = {answer.id: answer.result.labels[0].label for answer in one.bench.answers()}
    assert answers == {name: data.decode() for name, data in kinds.items()}
    assert one.bench.requests.messages == {}
    assert one.life() == ["launched", "ready", "draining", "stopped"]
    assert one.told()[-1].done == 40
    assert one.told()[-1].reason == "SIGTERM"


def test_a_bad_image_does_not_disturb_the_others(setting):
    one = setting(slots=8)
    for number, data in enumerate([b"cat", b"bad", b"bug", b"dog", b"cat"]):
        one.bench.ask(data, name=f"n{number}")
    one.start()
    until(lambda: len(one.bench.replies.messages) == 4)
    until(lambda: one.tally.settled(0))
    codes = {answer.id: answer.failure and answer.failure.code for answer in one.bench.answers()}
    assert codes == {"n0": None, "n1": "undecodable-image", "n3": None, "n4": None}
    assert len(one.bench.requests.messages) == 1


@pytest.mark.parametrize("reason", ["SIGTERM", "draining", "spot"])
def test_a_drain_finishes_what_is_in_work_and_leaves_the_rest(setting, reason):
    one = setting(slots=2)
    one.gate.clear()
    for number in range(5):
        one.bench.ask(b"cat", name=f"n{number}")
    one.start()
    until(lambda: one.tally.count().in_flight == 2)
    if reason == "SIGTERM":
        one.worker.leave(reason)
    else:
        one.notice = reason
    until(lambda: one.life()[-1] == "draining")
    assert one.bench.answers() == []
    one.gate.set()
    assert one.gone()
    assert len(one.bench.answers()) == 2
    assert one.bench.requests.counts() == (3, 0)
    assert one.told()[-1].kind == "stopped"


def test_work_longer_than_the_visibility_timeout_is_done_once(setting):
    one = setting()
    one.gate.clear()
    one.bench.ask(b"cat")
    one.start()
    until(lambda: one.tally.count().in_flight == 1)
    for _ in range(3):
        one.bench.time.sleep(20)
        extended = one.extensions()
        until(lambda extended=extended: one.extensions() > extended + 1, "an extension at the new time")
        assert one.bench.requests.counts() == (0, 1)
    one.gate.set()
    until(one.bench.answers)
    until(lambda: one.tally.settled(0))
    assert len(one.bench.answers()) == 1
    assert one.bench.requests.messages == {}


def test_an_urgent_drain_does_not_wait_for_ever(setting):
    one = setting(patience=0.2)
    one.gate.clear()
    one.bench.ask(b"cat")
    one.start()
    until(lambda: one.tally.count().in_flight == 1)
    one.worker.leave("SIGTERM")
    assert one.gone() is False
    assert len(one.bench.requests.messages) == 1
    assert one.told()[-1].kind == "stopped"


def test_a_calm_drain_turns_urgent_when_told_so(setting):
    one = setting(patience=0.2)
    one.gate.clear()
    one.bench.ask(b"cat")
    one.start()
    until(lambda: one.tally.count().in_flight == 1)
    one.notice = "draining"
    until(lambda: one.life()[-1] == "draining")
    assert one.thread.is_alive()
    one.notice = "spot"
    assert one.gone() is False


def test_one_that_boots_into_a_notice_takes_nothing(setting):
    one = setting()
    one.notice = "spot"
    one.bench.ask(b"cat")
    assert one.start().gone()
    assert one.bench.requests.counts() == (1, 0)
    assert one.life() == ["launched", "ready", "draining", "stopped"]


def test_an_idle_worker_leaves(setting):
    one = setting(rules=Rules(0.05, 0, resident=False))
    assert one.start().gone()
    assert one.told()[-1].reason == "idle"


def test_a_worker_without_an_autoscaler_leaves(setting):
    one = setting(rules=Rules(0, 0.05, resident=False))
    assert one.start().gone()
    assert one.told()[-1].reason == "orphaned"


def test_a_worker_with_a_living_autoscaler_stays(setting):
    one = setting(rules=Rules(0, 0.1, resident=False))
    one.state.put(LEASE, b"{}", "application/json")
    one.start()
    until(lambda: [call for call in one.state.script.calls if call[0] == "get"])
    one.bench.ask(b"cat")
    until(one.bench.answers)
    assert one.thread.is_alive()


def test_a_worker_whose_thread_died_leaves_and_says_so(setting):
    one = setting()
    one.start()
    until(lambda: "ready" in one.life())
    one.parts.leases.stop()
    one.gone()
    assert one.told()[-1].reason == "broken"


@pytest.mark.parametrize("draining", [False, True])
def test_a_worker_with_a_hung_image_leaves_and_lets_it_go(setting, draining):
    one = setting(patience=0.1)
    one.gate.clear()
    one.bench.ask(b"cat")
    one.start()
    until(lambda: one.tally.count().in_flight == 1)
    if draining:
        one.notice = "draining"
        until(lambda: one.life()[-1] == "draining")
    one.hours.sleep(LONGEST)
    assert one.gone() is False
    assert one.told()[-1].reason == ("draining" if draining else "broken")
    one.bench.time.sleep(31)
    assert one.bench.requests.counts() == (1, 0)


@pytest.fixture
def manager(tmp_path):
    with ServiceManager(tmp_path, watchdog=0.001) as made:
        yield made


def test_the_service_manager_hears_that_a_worker_is_ready_alive_and_draining(setting, manager):
    one = setting(notifier=systemd.Notifier(manager.environ, 0, Clock()))
    one.start()
    manager.wait_for("WATCHDOG=1", 3)
    one.worker.leave("SIGTERM")
    assert one.gone()
    heard = manager.heard()
    assert heard[:3] == ["READY=1", "STATUS=takes images", "WATCHDOG=1"]
    assert heard.index("STOPPING=1") + 1 == heard.index("STATUS=draining: SIGTERM")


def test_a_worker_whose_inference_hangs_gives_no_more_signs_of_life_in_the_end(setting, manager):
    one = setting(notifier=systemd.Notifier(manager.environ, 0, Clock()), patience=0.1)
    one.gate.clear()
    one.bench.ask(b"cat")
    one.start()
    until(lambda: one.tally.count().in_flight == 1)
    manager.wait_for("WATCHDOG=1", 3)
    one.hours.sleep(LONGEST)
    assert one.gone() is False
    assert "STATUS=draining: broken" in manager.heard()
    manager.forget()
    assert one.tally.count().in_flight == 1
    assert manager.heard() == []
