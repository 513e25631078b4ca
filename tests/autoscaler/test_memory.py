"""What was learned outlives the process that learned it, and never stands in the way of a tick."""

import pytest
import structlog
from botocore.exceptions import EndpointConnectionError
from msgspec.structs import replace
from observations import observation

from autoscaler.experience import Lessons
from autoscaler.fleets import Look
from autoscaler.lease import Lease
from autoscaler.ledger import Accounts, Ledger
from autoscaler.memory import HURRY, KEY, SAVE_EVERY, Learned, Learner, Memory, Minds
from autoscaler.metrics import Metrics
from autoscaler.policies import POLICIES, make
from autoscaler.prices import Prices
from autoscaler.roster import Roster
from autoscaler.trouble import Troubles
from skylens.clock import FakeClock
from skylens.fakes import FakeStore
from skylens.instances import Instance
from skylens.messages import WorkerEvent, decode, encode
from skylens.settings import ScalerSettings

UNREACHABLE = EndpointConnectionError(endpoint_url="https://s3")


class Clever:
    """A policy that learns one word."""

    def __init__(self, word=b""):
        self.word = word

    def learned(self):
        return self.word

    def learn(self, data):
        if data == b"poison":
            raise ValueError("cannot read poison")
        self.word = data


class Stage:
    def __init__(self):
        self.clock = FakeClock()
        self.store = FakeStore(self.clock.clock())

    def process(self, owner="one", *, leads=True, policy=None, name="clever"):
        return Process(self, owner, leads, policy or Clever(), name)

    def kept(self):
        return decode(Learned, self.store.objects[KEY][0])


class Process:
    """What one autoscaler knows. It loads when it leads."""

    def __init__(self, stage, owner, leads, policy, name):
        self.clock, clock = stage.clock, stage.clock.clock()
        self.roster, self.accounts, self.policy = Roster(clock), Accounts(Prices(), ()), policy
        self.lease = Lease(stage.store, owner, 10, clock)
        minds = Minds(self.roster, self.accounts, policy, name)
        self.memory = Memory(stage.store, self.lease, minds, Troubles(Metrics()), clock)
        if leads:
            self.lead()

    def lead(self):
        self.lease.keep({})
        self.memory.load()

    def learn(self, boot=30.0, service=(0.2, 0.4), slots=6):
        now = self.clock.now()
        self.roster.look(Look([Instance("i-1", "running", now - boot, draining=False)]))
        event = WorkerEvent(kind="ready", instance="i-1", at=now, service_times=service, slots=slots)
        self.roster.hear(event, now)

    def save(self):
        """With a lease that is held, however much time passed."""
        self.lease.keep({})
        self.memory.save()

    def knows(self):
        return self.roster.boot_seconds(60), round(self.roster.service_seconds(), 6), self.roster.slots()


FRESH, WISE = (60, 0, 4), (30, 0.3, 6)


def test_boots_service_times_slots_ledger_and_the_policys_own_memory_outlive_a_restart():
    stage = Stage()
    first = stage.process(policy=Clever(b"\xff wisdom"))
    assert first.knows() == FRESH
    first.learn()
    first.accounts.ledger = Ledger(at=stage.clock.now(), hourly=2, spent=5)
    first.save()
    second = stage.process()
    assert second.knows() == WISE
    assert second.roster.measured_at() == (stage.clock.now(), stage.clock.now())
    assert (second.accounts.ledger, second.policy.word) == (first.accounts.ledger, b"\xff wisdom")


def test_it_is_saved_once_a_minute():
    stage = Stage()
    process = stage.process()
    for _ in range(181):
        process.lease.keep({})
        process.memory.tick()
        stage.clock.sleep(1)
    writes = [arguments for method, arguments in stage.store.script.calls if method == "put_if" and arguments[0] == KEY]
    assert len(writes) == 180 / SAVE_EVERY


def test_what_the_fleet_costs_now_is_saved_soon():
    stage = Stage()
    process = stage.process()
    for hourly in (2.0, 5.0, 0.0):
        process.accounts.ledger = Ledger(at=stage.clock.now(), hourly=hourly)
        stage.clock.sleep(HURRY)
        process.lease.keep({})
        process.memory.tick()
        assert stage.kept().ledger.hourly == hourly


def test_a_rate_that_could_not_be_saved_is_saved_when_s3_answers_again():
    stage = Stage()
    process = stage.process()
    process.accounts.ledger = Ledger(at=stage.clock.now(), hourly=2)
    stage.clock.sleep(HURRY)
    process.lease.keep({})
    stage.store.script.fail("put_if", UNREACHABLE)
    process.memory.tick()
    assert KEY not in stage.store.objects
    stage.clock.sleep(HURRY)
    process.lease.keep({})
    process.memory.tick()
    assert stage.kept().ledger.hourly == 2


def test_a_later_term_goes_on_with_what_the_process_knew_itself_if_nobody_knows_better():
    stage = Stage()
    process = stage.process()
    process.save()
    own = process.accounts.ledger = Ledger(at=stage.clock.now() + 9, hourly=2, spent=5)
    stage.clock.sleep(3600)
    stage.store.script.fail("get", UNREACHABLE)
    process.memory.load()
    process.accounts.spending([], stage.clock.now())
    stage.clock.sleep(HURRY)
    process.memory.tick()
    assert process.accounts.ledger == own
    process.accounts.spending([], stage.clock.now())
    assert round(process.accounts.ledger.spent, 2) == 7


def test_a_later_term_goes_on_with_what_a_successor_knew():
    stage = Stage()
    process = stage.process()
    process.accounts.ledger = Ledger(at=stage.clock.now(), hourly=2, spent=5)
    stage.clock.sleep(60)
    other = stage.process("other")
    successors = other.accounts.ledger = Ledger(at=stage.clock.now(), hourly=1, spent=6)
    other.save()
    stage.clock.sleep(60)
    process.lead()
    assert process.accounts.ledger == successors


def test_what_another_learned_meanwhile_takes_the_place_of_what_one_knew_when_its_next_term_begins():
    stage = Stage()
    one = stage.process()
    one.learn(boot=100)
    one.save()
    stage.clock.sleep(11)
    other = stage.process("other")
    other.learn(boot=7)
    other.save()
    stage.clock.sleep(11)
    one.lead()
    assert one.roster.boot_seconds(60) == 100
    assert one.roster.learned() == other.roster.learned()


def test_only_the_holder_of_the_lease_writes():
    stage = Stage()
    stage.process()
    standby = stage.process("standby")
    standby.learn()
    standby.memory.save()
    assert KEY not in stage.store.objects


def test_a_write_that_outlasts_the_lease_never_undoes_what_the_successor_saved():
    stage = Stage()
    stale, put_if = stage.process(policy=Clever(b"stale")), stage.store.put_if

    def slow(key, *arguments, **named):
        if key == KEY:
            stage.store.put_if = put_if
            stage.clock.sleep(11)
            stage.process("successor", policy=Clever(b"fresh")).save()
        return put_if(key, *arguments, **named)

    stage.store.put_if = slow
    stale.memory.save()
    stale.memory.save()
    assert stage.kept().policy_memory == b"fresh"


def test_a_save_whose_answer_was_lost_does_not_stop_later_ones():
    stage = Stage()
    process, put_if = stage.process(), stage.store.put_if

    def lose(*arguments, **named):
        stage.store.put_if = put_if
        put_if(*arguments, **named)
        raise UNREACHABLE

    stage.store.put_if = lose
    process.memory.save()
    for word in (b"refused", b"taken"):
        process.policy.word = word
        process.memory.save()
    assert stage.kept().policy_memory == b"taken"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a _Version"),
        (b"[]", "not a _Version"),
        (b'{"v": 1}', "not a Learned"),
        (b'{"v": 2, "everything": "else"}', "version 2"),
        (b'{"v": 1, "at": 1, "lessons": {"boots": [-5]}, "ledger": {}}', "boots"),
        (b'{"v": 1, "at": 1, "lessons": {"slots": 0}, "ledger": {}}', "slots"),
        (b'{"v": 1, "at": 1, "lessons": {"boots": ["x"]}, "ledger": {"spent": "9"}}', "boots"),
    ],
)
def test_a_damaged_or_newer_memory_is_ignored_whole_said_and_written_over(data, why):
    stage = Stage()
    stage.store.put(KEY, data, "text/plain")
    with structlog.testing.capture_logs() as lines:
        process = stage.process()
    assert [line["event"] for line in lines] == ["memory.ignored"]
    assert why in lines[0]["detail"]
    assert (process.knows(), process.accounts.ledger) == (FRESH, Ledger())
    process.learn()
    process.save()
    assert stage.process("one").knows() == WISE


def test_lessons_that_cannot_be_read_do_not_cost_the_ledger():
    stage = Stage()
    data = b'{"v": 1, "at": 1, "lessons": {"boots": [90000]}, "ledger": {"at": 5, "hourly": 2, "spent": 9}}'
    stage.store.put(KEY, data, "text/plain")
    process = stage.process()
    assert (process.knows(), process.accounts.ledger) == (FRESH, Ledger(at=5, hourly=2, spent=9))


def test_a_memory_that_the_policy_cannot_read_costs_only_the_policys_part():
    stage = Stage()
    first = stage.process(policy=Clever(b"poison"))
    first.learn()
    first.save()
    with structlog.testing.capture_logs() as lines:
        second = stage.process()
    assert [line["event"] for line in lines] == ["memory.ignored", "memory.loaded"]
    assert (second.knows(), second.policy.word) == (WISE, b"")


def test_another_policys_memory_is_not_given_to_this_one():
    stage = Stage()
    stage.process(policy=Clever(b"of another"), name="another").save()
    assert stage.process().policy.word == b""


def test_a_policy_that_does_not_learn_keeps_nothing():
    stage = Stage()
    process = stage.process(policy=object())
    process.learn()
    process.save()
    assert (stage.kept().policy_memory, stage.process(policy=object()).knows()) == (b"", WISE)


def test_s3_out_of_reach_at_the_start_overwrites_nothing_and_is_asked_again():
    stage = Stage()
    stage.process(policy=Clever(b"wisdom")).save()
    second = stage.process(leads=False)
    second.lease.keep({})
    stage.store.script.fail("get", UNREACHABLE, times=2)
    second.memory.load()
    assert not second.accounts.spending([], stage.clock.now()).complete
    second.memory.save()
    assert stage.kept().policy_memory == b"wisdom"
    for _ in range(2):
        stage.clock.sleep(HURRY)
        second.memory.tick()
    assert second.policy.word == b"wisdom"
    assert second.accounts.spending([], stage.clock.now()).complete


def test_s3_out_of_reach_later_stops_no_tick():
    stage = Stage()
    process = stage.process(policy=Clever(b"wisdom"))
    stage.clock.sleep(SAVE_EVERY)
    process.lease.keep({})
    stage.store.script.fail("put_if", UNREACHABLE)
    process.memory.tick()
    assert KEY not in stage.store.objects
    stage.clock.sleep(SAVE_EVERY)
    process.lease.keep({})
    process.memory.tick()
    assert stage.kept().policy_memory == b"wisdom"


def test_a_dry_run_reads_what_is_there_and_writes_nothing():
    stage = Stage()
    stage.process(policy=Clever(b"wisdom")).save()
    stage.store.script.calls.clear()
    policy, clock = Clever(), stage.clock.clock()
    minds = Minds(Roster(clock), Accounts(Prices(), ()), policy, "clever")
    memory = Memory(stage.store, None, minds, Troubles(Metrics()), clock)
    for _ in range(2):
        memory.tick()
        stage.clock.sleep(SAVE_EVERY)
    memory.save()
    assert policy.word == b"wisdom"
    assert [method for method, _ in stage.store.script.calls] == ["get"]


def test_unknown_fields_of_a_newer_minor_version_are_ignored():
    learned = encode(Learned(at=1.0, lessons=Lessons(slots=9), ledger=Ledger()))
    stage = Stage()
    stage.store.put(KEY, learned[:-1] + b', "mood": "good"}', "application/json")
    assert stage.process().roster.slots() == 9


def policy_of(name):
    return make(ScalerSettings(policy=name))


@pytest.mark.parametrize("name", [name for name in POLICIES if isinstance(policy_of(name), Learner)])
def test_what_a_policy_learned_is_taken_up_by_its_next_process(name):
    one, other = policy_of(name), policy_of(name)
    for second in range(30):
        seen = observation(at=1000.0 + second, outstanding=second, busy=2)
        one.decide(replace(seen, arrivals=tuple(range(second, second + 60))))
    assert one.learned() != other.learned()
    other.learn(one.learned())
    assert other.learned() == one.learned()
