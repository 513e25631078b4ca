from autoscaler.fleets import Look
from autoscaler.roster import STRANGERS, Roster
from skylens.clock import FakeClock
from skylens.instances import Instance
from skylens.messages import WorkerEvent
from skylens.settings import WorkerSettings

CLOCK0 = FakeClock().time


class Stage:
    """A roster and its clock, moved by hand."""

    def __init__(self):
        self.clock = FakeClock()
        self.roster = Roster(self.clock.clock())

    def look(self, *instances):
        self.roster.look(Look(list(instances)))

    def event(self, kind, *, at=None, one="i-1", in_flight=0, slots=0, service=()):
        now = self.clock.now()
        event = WorkerEvent(
            kind=kind, instance=one, at=at or now, in_flight=in_flight, slots=slots, service_times=service
        )
        self.roster.hear(event, now)

    def states(self):
        return {worker.instance: worker.state for worker in self.roster.workers()}


def instance(one="i-1", state="running", *, launched=CLOCK0, draining=False):
    return Instance(one, state, launched, draining)


def test_an_instance_goes_from_pending_to_gone():
    stage = Stage()
    stage.roster.launched({"i-1": CLOCK0})
    seen = [stage.states()["i-1"]]
    stage.look(instance(state="pending"))
    seen.append(stage.states()["i-1"])
    stage.look(instance())
    stage.event("launched")
    seen.append(stage.states()["i-1"])
    for kind, in_flight in (("ready", 0), ("heartbeat", 3), ("heartbeat", 0), ("draining", 1), ("stopped", 0)):
        stage.clock.sleep(1)
        stage.event(kind, in_flight=in_flight)
        seen.append(stage.states()["i-1"])
    assert seen == ["pending", "pending", "booting", "idle", "busy", "idle", "draining", "stopping"]
    stage.look(instance(state="shutting-down"))
    assert stage.states() == {"i-1": "stopping"}
    stage.look(instance(state="terminated"))
    assert stage.states() == {}


def test_a_launch_that_ec2_never_shows_counts_for_five_minutes():
    stage = Stage()
    stage.roster.launched({"i-1": CLOCK0})
    stage.clock.sleep(300)
    stage.look()
    assert stage.states() == {"i-1": "pending"}
    stage.clock.sleep(1)
    stage.look()
    assert stage.states() == {}


def test_an_instance_that_ec2_no_longer_shows_is_gone_after_five_minutes_of_that():
    stage = Stage()
    stage.look(instance())
    for _ in range(3):
        stage.clock.sleep(200)
        stage.look(instance())
        stage.look()
    for _ in range(2):
        stage.clock.sleep(150)
        stage.look()
    assert stage.states() == {"i-1": "booting"}
    stage.clock.sleep(1)
    stage.look()
    assert stage.states() == {}


def test_a_launch_that_ended_before_ec2_showed_it_is_gone_when_ec2_says_so():
    stage = Stage()
    stage.roster.launched({"i-1": CLOCK0})
    stage.look(instance(state="terminated"))
    assert stage.states() == {}
    assert stage.roster.launches() == {}


def test_old_instances_that_are_taken_over_count_until_ec2_had_its_time_to_show_them():
    stage = Stage()
    stage.roster.launched({"i-1": CLOCK0 - 7200, "i-2": CLOCK0 - 7200})
    stage.look()
    stage.clock.sleep(300)
    stage.look(instance("i-2"))
    assert stage.states() == {"i-1": "pending", "i-2": "booting"}
    stage.clock.sleep(1)
    stage.look(instance("i-2"))
    assert stage.states() == {"i-2": "booting"}


def test_taken_over_again_after_a_long_time_they_still_count():
    stage = Stage()
    stage.look(instance("i-1"), instance("i-gone"))
    stage.clock.sleep(1000)
    stage.roster.launched({"i-1": CLOCK0})
    stage.look()
    assert set(stage.states()) == {"i-1"}


def test_an_instance_taken_over_that_ended_meanwhile_does_not_count():
    stage = Stage()
    stage.roster.launched({"i-1": CLOCK0 - 7200})
    stage.look(instance(state="terminated"))
    assert stage.states() == {}


def test_after_a_long_time_without_a_look_only_what_is_shown_and_launches_not_shown_yet_count():
    stage = Stage()
    stage.look(instance("i-old"), instance("i-kept"))
    stage.clock.sleep(301)
    stage.roster.launched({"i-new": stage.clock.now()})
    stage.look(instance("i-kept"))
    assert stage.states() == {"i-kept": "booting", "i-new": "pending"}


def test_a_drained_instance_stays_draining_although_the_tag_is_not_shown_yet():
    stage = Stage()
    stage.look(instance())
    stage.roster.drained(["i-1"])
    stage.look(instance())
    stage.event("heartbeat", in_flight=2)
    assert stage.states() == {"i-1": "draining"}


def test_a_tag_seen_by_a_restarted_autoscaler_means_draining():
    stage = Stage()
    stage.look(instance(draining=True))
    assert stage.states() == {"i-1": "draining"}


def test_a_worker_that_speaks_for_many_others_fills_no_memory_and_silences_no_member():
    stage = Stage()
    stage.look(instance())
    stage.event("ready")
    for number in range(3 * STRANGERS):
        stage.event("heartbeat", one=f"i-other{number}")
    assert len(stage.roster._pulses) <= STRANGERS + 2
    assert stage.states() == {"i-1": "idle"}


def test_a_worker_that_drains_by_itself_stays_draining_through_its_heartbeats():
    stage = Stage()
    stage.look(instance())
    stage.event("draining", at=10, in_flight=2)
    stage.event("heartbeat", at=11, in_flight=1)
    assert stage.states() == {"i-1": "draining"}


def test_an_event_that_comes_late_or_twice_changes_nothing():
    stage = Stage()
    stage.look(instance())
    stage.event("heartbeat", at=20, in_flight=3)
    stage.event("heartbeat", at=15)
    stage.event("heartbeat", at=20)
    assert stage.states() == {"i-1": "busy"}


def test_an_event_dated_far_ahead_mutes_nobody():
    stage = Stage()
    stage.look(instance())
    stage.event("heartbeat", at=CLOCK0 + 10**6, in_flight=3)
    assert stage.states() == {"i-1": "busy"}
    stage.clock.sleep(6)
    stage.event("heartbeat", in_flight=0)
    assert stage.states() == {"i-1": "idle"}


def test_a_worker_whose_clock_is_far_ahead_is_heard_in_order_and_its_boot_measured():
    stage = Stage()
    stage.look(instance())
    stage.clock.sleep(40)
    for kind, in_flight in (("ready", 0), ("heartbeat", 2), ("draining", 1)):
        stage.event(kind, at=stage.clock.now() + 10**6, in_flight=in_flight)
        stage.clock.sleep(5)
    assert stage.states() == {"i-1": "draining"}
    assert stage.roster.boot_seconds(1.0) == 40


def test_a_silent_worker_is_neither_idle_nor_busy():
    stage = Stage()
    stage.look(instance())
    stage.event("heartbeat")
    stage.clock.sleep(21)
    assert stage.states() == {"i-1": "ready"}


def test_a_heartbeat_makes_an_instance_ready_whose_ready_event_somebody_else_took():
    stage = Stage()
    stage.look(instance())
    stage.event("heartbeat")
    assert stage.states() == {"i-1": "idle"}


def test_boot_time_is_the_90th_percentile_from_launch_call_to_ready_of_the_last_twenty():
    stage = Stage()
    assert stage.roster.boot_seconds(60) == 60
    for number in range(1, 31):
        one, start = f"i-{number}", stage.clock.now()
        stage.roster.launched({one: start})
        stage.clock.sleep(number)
        stage.event("ready", one=one)
        stage.event("ready", one=one, at=stage.clock.now() + 1)
    assert stage.roster.boot_seconds(60) == 28


def test_a_boot_is_measured_although_ec2_shows_the_instance_after_its_ready_event():
    stage = Stage()
    stage.clock.sleep(9)
    stage.event("ready")
    stage.look(instance())
    assert stage.roster.boot_seconds(60) == 9


def test_a_worker_that_starts_anew_on_its_instance_is_no_boot():
    stage = Stage()
    stage.look(instance())
    stage.clock.sleep(100)
    stage.event("heartbeat")
    stage.clock.sleep(3500)
    stage.event("launched")
    stage.clock.sleep(5)
    stage.event("ready")
    assert (stage.roster.boot_seconds(60), stage.roster.measured_at()[0]) == (60, None)
    assert stage.states() == {"i-1": "idle"}


def test_a_worker_that_is_heard_a_day_late_or_tells_a_wrong_time_is_no_boot():
    stage = Stage()
    stage.look(instance())
    stage.clock.sleep(601)
    stage.event("ready", at=0.5)
    assert (stage.roster.boot_seconds(60), stage.roster.learned().boots) == (60, ())


def test_a_ready_event_that_comes_after_the_first_heartbeat_ends_the_boot():
    stage = Stage()
    stage.look(instance())
    stage.clock.sleep(20)
    stage.event("heartbeat", at=CLOCK0 + 12)
    stage.event("ready", at=CLOCK0 + 10)
    assert stage.roster.boot_seconds(60) == 20


def test_measurements_carry_the_time_of_the_latest():
    stage = Stage()
    assert stage.roster.measured_at() == (None, None)
    stage.look(instance())
    stage.clock.sleep(10)
    stage.event("ready", service=(0.1,))
    stage.clock.sleep(10)
    stage.event("heartbeat", service=(0.2,))
    stage.clock.sleep(10)
    stage.event("heartbeat")
    assert stage.roster.measured_at() == (CLOCK0 + 10, CLOCK0 + 20)


def test_what_was_learned_takes_the_place_of_what_is_known_and_is_learned_on():
    one, other = Stage(), Stage()
    for stage, boot in ((one, 10), (other, 40)):
        stage.look(instance())
        stage.clock.sleep(boot)
        stage.event("ready", slots=boot, service=(boot / 100,))
    other.roster.learn(one.roster.learned())
    assert (other.roster.boot_seconds(60), other.roster.service_seconds(), other.roster.slots()) == (10, 0.1, 10)
    other.roster.launched({"i-2": other.clock.now()})
    other.clock.sleep(30)
    other.event("ready", one="i-2", service=(0.3,))
    assert (other.roster.boot_seconds(60), round(other.roster.service_seconds(), 6)) == (30, 0.2)


def test_slots_and_service_times_are_what_the_workers_tell():
    stage = Stage()
    stage.look(instance())
    assert (stage.roster.slots(), stage.roster.service_seconds()) == (4, 0)
    stage.event("heartbeat", one="i-unheard-of", slots=256, service=(0.0,) * 100)
    assert (stage.roster.slots(), stage.roster.service_seconds()) == (4, 0)
    stage.event("heartbeat", slots=8, service=(0.1, 0.3))
    assert (stage.roster.slots(), round(stage.roster.service_seconds(), 6)) == (8, 0.2)


def test_overdue_names_who_never_came_up_and_who_is_lost_only_after_listening_for_long_enough():
    stage = Stage()
    stage.look(instance("i-hung"), instance("i-lost"), instance("i-fine"), instance("i-off", "shutting-down"))
    stage.event("heartbeat", one="i-lost")
    stage.clock.sleep(700)
    stage.event("heartbeat", one="i-fine")
    assert stage.roster.overdue(600, hearing=300) == ([], [])
    assert stage.roster.overdue(600, hearing=301) == (["i-hung"], ["i-lost"])
    assert stage.roster.overdue(701, hearing=301) == ([], ["i-lost"])


def test_who_was_launched_while_all_were_heard_has_its_boot_time_and_no_more():
    stage = Stage()
    stage.look(instance())
    stage.clock.sleep(91)
    assert stage.roster.overdue(90, hearing=31) == ([], [])
    assert stage.roster.overdue(90, hearing=32) == (["i-1"], [])
    assert stage.roster.overdue(92, hearing=91) == ([], [])
    assert stage.roster.overdue(60, hearing=20) == ([], [])


def test_a_worker_that_starts_anew_is_lost_only_if_it_falls_silent_however_old_its_instance_is():
    stage = Stage()
    stage.look(instance())
    stage.event("ready")
    stage.clock.sleep(700)
    stage.event("launched")
    assert stage.states() == {"i-1": "booting"}
    assert stage.roster.overdue(600, hearing=700) == ([], [])
    stage.clock.sleep(301)
    assert stage.roster.overdue(600, hearing=1001) == ([], ["i-1"])


def test_what_was_ended_is_not_ended_again_and_still_counts():
    stage = Stage()
    stage.look(instance())
    stage.roster.ended("i-1")
    stage.clock.sleep(1000)
    assert stage.roster.overdue(600, hearing=1000) == ([], [])
    assert stage.states() == {"i-1": "stopping"}


def test_events_of_strangers_do_not_pile_up():
    stage = Stage()
    stage.event("heartbeat", one="i-stranger")
    stage.clock.sleep(301)
    stage.look()
    assert stage.roster._pulses == {}
    assert stage.states() == {}


def test_three_lost_heartbeats_after_a_restart_of_the_autoscaler_are_not_a_worker_that_never_came_up():
    limits = WorkerSettings.model_fields["heartbeat_seconds"].metadata
    slowest = next(limit.le for limit in limits if hasattr(limit, "le"))
    stage = Stage()
    stage.look(instance())
    stage.clock.sleep(10_000)
    for beat in range(1, 5):
        stage.clock.sleep(slowest)
        stage.look(instance())
        assert stage.roster.overdue(600, hearing=beat * slowest) == ([], [])
    stage.event("heartbeat", in_flight=1)
    assert stage.states() == {"i-1": "busy"}
