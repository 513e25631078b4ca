from scaler_world import UNREACHABLE, World

from skylens.queues import Counts


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
