"""An image that kills workers dies alone: it takes no other image with it."""

import threading
from dataclasses import dataclass, field

import pytest
from parts import until

from app_aws import receiver as receiving
from app_aws.backoff import Backoff
from app_aws.leases import Leases
from app_aws.receiver import Receiver
from app_aws.suspects import marked, plain, split, tenant
from app_aws.tally import Tally
from skylens.clock import Clock, FakeClock
from skylens.fakes import FakeQueue, aws_error
from skylens.messages import Request, encode, read
from skylens.queues import Received


def body(name, *, suspect=False, data=b""):
    return encode(
        Request(id=name, key=name, digest="", reply_to="r", received=0.0, deadline=1.0, suspect=suspect, data=data)
    ).decode()


def name(text):
    return read(Request, text).id


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(receiving, "_LOOK_SECONDS", 0.02)


@dataclass
class Wire:
    """A dead process's way to the queue: cut."""

    queue: FakeQueue
    dead: threading.Event

    def __getattr__(self, call):
        if self.dead.is_set():
            raise aws_error("Dead", 500)
        return getattr(self.queue, call)


@dataclass
class Machine:
    """A worker whose process dies, with all that it has in work, of an image named ``killer...``."""

    queue: FakeQueue
    slots: int = 8
    answered: list = field(default_factory=list)
    dead: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)
    """Unset, it holds all work."""

    def __post_init__(self):
        wire, clock = Wire(self.queue, self.dead), Clock()
        self.tally, self.together = Tally(self.slots, clock), []
        self.leases = Leases(wire, 30, clock)
        self.receiver = Receiver(wire, self.handle, self.tally, self.leases, lambda: None, clock, Backoff(lambda: 0.0))
        self._start, self.receiver._start = self.receiver._start, self.start_work
        self.gate.set()

    def start_work(self, found):
        self.together = [*(self.together if self.tally.count().in_flight else []), *(name(one.body) for one in found)]
        self._start(found)

    def handle(self, received, worked):
        assert self.gate.wait(10)
        who = name(received.body)
        if who.startswith("killer"):
            self.dead.set()
        if any(one.startswith("killer") for one in self.together):
            assert self.dead.wait(10)
            raise aws_error("Dead", 500)  # like all that it does from now on
        self.queue.delete([received.receipt])
        self.answered.append(who)
        return True

    def end(self):
        self.receiver.stop()
        self.gate.set()
        for thread in self.receiver.threads:
            if thread.ident:
                thread.join(10)
                assert not thread.is_alive()


@pytest.fixture
def machine():
    made = []

    def make(queue, **options):
        made.append(Machine(queue, **options))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def requests(clock):
    return FakeQueue(clock.clock(), dead=FakeQueue(clock.clock()))


def ask(queue, *names, receives=0, suspect=False):
    """Send requests that were received that often before, and are visible again."""
    for one in names:
        queue.send(body(one, suspect=suspect).encode())
        list(queue.messages.values())[-1].receives = receives


@pytest.mark.parametrize("killers", [["killer"], ["killer-1", "killer-2"]])
def test_killers_die_alone_and_no_innocent_image_fails(clock, requests, machine, killers):
    innocent = [f"good-{number}" for number in range(7)]
    ask(requests, *innocent, *killers)
    deaths, answered = 0, []
    while requests.messages:
        worker = machine(requests)
        worker.receiver.start()
        until(lambda worker=worker: worker.dead.is_set() or not requests.messages)
        deaths += worker.dead.is_set()
        worker.end()
        answered += worker.answered
        clock.sleep(31)
    assert sorted(answered) == innocent
    assert sorted(name(one.body) for one in requests.dead.messages.values()) == killers
    assert deaths <= 1 + 6 * len(killers)


def test_a_suspect_waits_for_what_is_in_work_and_then_has_the_worker_for_itself(requests, machine):
    worker = machine(requests)
    worker.gate.clear()
    ask(requests, "first-1", "first-2")
    ask(requests, "suspect", receives=1)
    worker.receiver.start()
    until(lambda: worker.together == ["first-1", "first-2"])
    until(lambda: len(worker.leases._held) == 3, "the suspect is held as well")
    ask(requests, "later")
    assert worker.tally.count().in_flight == 2
    worker.gate.set()
    until(lambda: not requests.messages)
    worker.end()
    assert sorted(worker.answered[:2]) == ["first-1", "first-2"]
    assert worker.answered[2:] == ["suspect", "later"]


def test_nothing_is_taken_while_a_suspect_is_in_work(requests, machine):
    worker = machine(requests)
    worker.gate.clear()
    ask(requests, "suspect", receives=1)
    worker.receiver.start()
    until(lambda: worker.together == ["suspect"])
    ask(requests, "later")
    asked, looks = len(receives(requests)), []
    settled, worker.tally.settled = worker.tally.settled, lambda timeout: looks.append(timeout) or settled(timeout)
    until(lambda: len(looks) >= 3, "three looks at whether the suspect is done")
    assert len(receives(requests)) == asked
    worker.gate.set()
    until(lambda: worker.answered == ["suspect", "later"])


def receives(queue):
    return [arguments[0] for method, arguments in list(queue.script.calls) if method == "receive"]


def test_the_most_received_suspect_stays_and_the_others_are_queued_anew_marked(requests, machine):
    worker = machine(requests)
    worker.gate.clear()
    ask(requests, "second", receives=1)
    ask(requests, "third", receives=2)
    ask(requests, "marked", suspect=True)
    worker.receiver.start()
    until(lambda: worker.together == ["third"])
    copies = [one for one in requests.messages.values() if name(one.body) != "third"]
    assert [(read(Request, one.body).suspect, one.receives) for one in copies] == [(True, 0)] * 2


def test_a_suspect_is_not_started_before_the_others_are_safe(requests, machine):
    worker = machine(requests)
    ask(requests, "one", "two", receives=1)
    requests.script.fail("send", aws_error("ServiceUnavailable", 503), times=2)
    held = []
    worker.receiver._start = lambda found: held.append([len(requests.messages), *found]) or worker.start_work(found)
    worker.receiver.start()
    until(lambda: not requests.messages)
    assert len([call for call in requests.script.calls if call[0] == "send"]) == 2 + 3
    assert sorted(worker.answered) == ["one", "two"]
    assert all(len(found) == 2 for found in held)


def test_after_a_suspect_messages_come_one_by_one_until_one_is_none(requests, machine):
    worker = machine(requests, slots=4)
    ask(requests, "suspect", receives=1)
    worker.receiver.start()
    until(lambda: worker.answered)
    until(lambda: len(receives(requests)) >= 3)
    assert receives(requests)[:3] == [4, 1, 4]


@pytest.mark.parametrize("earlier", [1, 2])
def test_a_suspect_that_still_waits_when_the_worker_leaves_keeps_its_lives(clock, requests, machine, earlier):
    worker = machine(requests)
    worker.gate.clear()
    ask(requests, "first")
    ask(requests, "suspect", receives=earlier)
    worker.receiver.start()
    until(lambda: len(worker.leases._held) == 2)
    worker.end()
    assert worker.answered == ["first"]
    (left,) = requests.messages.values()
    assert (name(left.body), left.receives, left.hidden_until) == ("suspect", 0, 0)


def test_a_suspect_that_a_last_poll_brings_keeps_its_lives(requests, machine):
    worker = machine(requests)
    worker.receiver.stop()
    ask(requests, "suspect", receives=2)
    worker.receiver._take(requests.receive(10))
    worker.receiver._receive()
    (left,) = requests.messages.values()
    assert (left.receives, left.hidden_until, left.group) == (0, 0, "default")


def test_a_copy_whose_original_cannot_be_deleted_is_made_once(requests, machine):
    worker = machine(requests)
    requests.script.fail("delete", aws_error("InternalError", 500))
    ask(requests, "one", "two", receives=1)
    worker.receiver.start()
    until(lambda: len(worker.answered) == 2)
    assert len(requests.messages) == 1
    assert worker.leases._held == {}


def received(text, receives=1):
    return Received(text, f"{text}-{receives}", receives, 0.0)


def test_what_is_queued_anew_for_aws_trouble_takes_the_way_that_stores_first():
    text = plain(body("a", data=b"image").replace("{", '{"new_in_1_9":[1],', 1)).decode()
    assert (read(Request, text).data, name(text), '"new_in_1_9":[1]' in text) == (b"", "a", True)
    assert plain("not json") == b"not json"


def test_suspects_are_those_received_before_or_marked():
    new, old, told = received(body("a")), received(body("b"), 2), received(body("c", suspect=True))
    oldest, odd = received("not json", 3), received("not json")
    assert split([new, told, old, odd, oldest]) == ([new, odd], [oldest, old, told])
    assert split([]) == ([], [])


def test_a_mark_is_seen_before_and_behind_an_image_that_rides_along():
    whole = body("a", data=bytes(40_000), suspect=True)
    fields = whole.strip("{}").split(",")
    behind = "{" + ",".join(sorted(fields, key=lambda one: "suspect" in one)) + "}"
    assert whole.index("suspect") < whole.index("AAAA") < behind.index("suspect")
    assert split([received(whole), received(behind)])[0] == []


def test_a_mark_keeps_what_a_newer_version_wrote():
    text = marked(body("a").replace("{", '{"new_in_1_9":[1],', 1)).decode()
    assert text.replace('"new_in_1_9":[1],', "") == body("a", suspect=True)
    assert '"new_in_1_9":[1]' in text
    assert marked("not json") == b"not json"


def test_whose_a_request_is_can_be_read_in_newer_versions_too():
    assert tenant(body("a")) == "default"
    assert tenant('{"v":9,"id":7,"tenant":"acme"}') == "acme"
    for odd in ("not json", "[]", '{"tenant":"a/b"}'):
        assert tenant(odd) == ""
