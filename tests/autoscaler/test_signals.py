import pytest
from msgspec.structs import replace
from scaler_world import UNREACHABLE, World

from autoscaler.observation import BOOTS, CPU, DEMAND, EVENTS, INSTANCES, QUEUE, SERVICE, Observation
from autoscaler.signals import Signals
from skylens.fakes import aws_error
from skylens.messages import WorkerEvent, encode
from skylens.queues import Counts
from skylens.settings import ScalerSettings

SOURCES = {
    DEMAND: {"nodes", "outstanding", "oldest", "arrivals", "completions"},
    QUEUE: {"queue"},
    INSTANCES: {"workers", "spending"},
    EVENTS: {"workers", "slots"},
    CPU: {"cpu"},
    BOOTS: {"boot_seconds"},
    SERVICE: {"service_seconds"},
    "the settings": {"minimum", "maximum"},
    "the autoscaler": {"at", "no_capacity", "unsure", "stale", "ages"},
}


def started(**settings):
    world = World()
    return world, world.autoscaler(**settings)


def test_every_source_has_its_age_and_none_is_stale_when_all_answer():
    world, scaler = started()
    world.seconds(3)
    seen = scaler.signals.observe()
    assert seen.stale == frozenset()
    assert seen.ages == {"demand": 0, "queue": 2, "instances": 0, "events": 0}


def test_a_source_that_never_answered_is_stale_and_has_no_age():
    world, scaler = started()
    world.web.down = True
    for fake, method in ((world.ec2, "all"), (world.requests, "counts")):
        fake.script.fail(method, UNREACHABLE)
    seen = scaler.signals.observe()
    assert seen.stale == {"demand", "queue", "instances"}
    assert (seen.ages, seen.queue, seen.outstanding) == ({}, None, 0)


def test_a_failed_count_keeps_the_last_one_and_is_stale_until_the_next():
    world, scaler = started()
    world.requests.shown = Counts(3, 4)
    world.second()
    world.requests.script.fail("counts", UNREACHABLE)
    world.seconds(9)
    seen = scaler.signals.observe()
    assert (seen.queue, seen.stale, seen.ages["queue"]) == ((3, 4), {"queue"}, 9)
    world.second()
    assert scaler.signals.observe().stale == frozenset()


def test_sqs_is_counted_every_five_seconds_and_ec2_asked_at_most_once_a_second():
    world, scaler = started(dry_run=True)
    for _ in range(80):
        scaler.signals.observe()
        world.clock.sleep(0.125)
    assert [name for name, _ in world.requests.script.calls] == ["counts"] * 2
    assert [name for name, _ in world.ec2.script.calls] == ["all"] * 10


def test_what_ec2_shows_is_as_old_as_the_question():
    world, scaler = started()
    show = world.ec2.all

    def slow(expected):
        world.clock.sleep(2)
        return show(expected)

    world.ec2.all = slow
    assert scaler.signals.observe().ages["instances"] == 2


def test_a_dry_run_that_hears_no_events_does_not_call_them_stale():
    world, scaler = started(dry_run=True)
    world.seconds(2)
    assert scaler.signals.observe().stale == frozenset()


def test_every_field_of_an_observation_has_a_source():
    assert set.union(*SOURCES.values()) == set(Observation.__struct_fields__)


def work(world, **told):
    """One worker tells something, right after its heartbeat."""
    one, at = world.ec2.alive[0], world.clock.now() + 0.5
    world.events.send(encode(WorkerEvent(kind="heartbeat", instance=one, at=at, slots=world.slots, **told)))


def test_with_a_fleet_at_work_every_source_has_an_age():
    world, scaler = started(minimum=2)
    world.seconds(12)
    work(world, service_times=(0.25,), cpu=30.0)
    world.second()
    seen = scaler.signals.observe()
    assert set(seen.ages) == set(SOURCES) - {"the settings", "the autoscaler"}
    assert (seen.stale, seen.service_seconds, seen.ages[SERVICE], seen.ages[BOOTS]) == (frozenset(), 0.25, 1, 6)


def test_what_was_never_measured_is_the_operators_guess_or_nothing_and_has_no_age():
    world, scaler = started(expected_boot_seconds=45)
    world.seconds(3)
    seen = scaler.signals.observe()
    assert (seen.boot_seconds, seen.service_seconds, seen.cpu) == (45, 0, None)
    assert {BOOTS, SERVICE, CPU}.isdisjoint(seen.ages)


def test_service_times_of_the_web_nodes_count_until_a_worker_tells_its_own():
    world, scaler = started(minimum=1)
    demand = world.web._demand
    world.web._demand = lambda: replace(demand(), service_times=(0.5,))
    world.second()
    world.web.down = True
    world.seconds(9)
    seen = scaler.signals.observe()
    assert (seen.service_seconds, seen.ages[SERVICE]) == (0.5, 9)
    work(world, service_times=(0.1,))
    world.second()
    assert scaler.signals.observe().service_seconds == 0.1


def test_the_workers_cpu_is_the_fleets_until_they_fall_silent():
    world, scaler = started(minimum=2, maximum=2)
    world.web.outstanding = 10_000
    world.seconds(30)
    seen = scaler.signals.observe()
    assert (seen.cpu, seen.ages[CPU], seen.stale) == (100, 0, frozenset())
    for machine in world.machines.values():
        machine.mute = True
    world.seconds(21)
    seen = scaler.signals.observe()
    assert (seen.cpu, seen.ages[CPU], seen.stale) == (100, 21, {CPU})


def test_cloudwatchs_cpu_takes_the_place_of_the_workers_words():
    class Metric:
        asked = None

        def cpu(self, instances):
            self.asked = set(instances)
            return 12.5, 80.0

    world, scaler = started(minimum=2)
    world.seconds(10)
    metric, settings = Metric(), ScalerSettings(cpu_source="cloudwatch")
    seen = Signals(
        scaler.signals._from._replace(metric=metric), settings, scaler.signals._troubles, world.clock.clock()
    ).observe()
    assert (seen.cpu, seen.ages[CPU], metric.asked) == (12.5, 80, set(world.ec2.alive))


def test_seconds_without_capacity_are_seen_until_they_are_over():
    world, scaler = started(minimum=1)
    world.ec2.script.fail("launch", aws_error("InsufficientInstanceCapacity"))
    world.second()
    world.seconds(4)
    first = scaler.signals.observe().no_capacity
    world.seconds(10)
    assert (first - scaler.signals.observe().no_capacity, world.launches) == (10, 0)
    world.seconds(first)
    assert (scaler.signals.observe().no_capacity, world.launches) == (0, 1)


def test_spending_is_of_the_whole_fleet_and_adds_up():
    world, scaler = started(minimum=2, instance_types="a.large", prices="a.large=36")
    world.second()
    before = scaler.signals.observe().spending
    world.seconds(10)
    seen = scaler.signals.observe().spending
    assert (seen.hourly, seen.next_hourly, seen.unpriced) == (72, 36, ())
    assert seen.today - before.today == pytest.approx(0.2)
