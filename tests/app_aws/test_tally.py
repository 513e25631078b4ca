"""Slots and idleness are counted right."""

from app_aws.backoff import Backoff
from app_aws.tally import Tally
from skylens.clock import FakeClock


def test_slots_are_taken_and_given_back():
    tally = Tally(2, FakeClock().clock())
    assert tally.free(0) == 2
    assert tally.take(1)
    assert not tally.take(1)
    assert tally.free(0) == 0
    assert not tally.settled(0)
    tally.leave(0.1)
    assert not tally.give_back(answered=True)
    assert tally.free(0) == 1
    tally.leave(None)
    assert tally.give_back(answered=False)
    assert tally.settled(0)
    assert tally.count().done == 1
    assert tally.take_service_times() == (0.1,)


def test_what_is_being_answered_has_left_its_slot_and_is_in_flight_still():
    tally = Tally(2, FakeClock().clock(), held=3)
    tally.take(2)
    tally.leave(1)
    assert (tally.working(), tally.count().in_flight, tally.free(0)) == (1, 2, 1)
    tally.take(1)
    tally.leave(1)
    assert tally.free(0) == 0, "as many are in flight as may be"
    tally.give_back(answered=True)
    assert tally.free(0) == 1


def test_idle_time_runs_from_the_last_work():
    clock = FakeClock()
    tally = Tally(1, clock.clock())
    clock.sleep(5)
    assert tally.idle() == 5
    tally.take(1)
    clock.sleep(5)
    assert tally.idle() == 0
    tally.leave(5)
    tally.give_back(answered=True)
    clock.sleep(2)
    assert tally.idle() == 2
    tally.touch()
    assert tally.idle() == 0


def test_backing_off_grows_to_ten_seconds_with_jitter_and_ends_when_all_is_well():
    chance = [1.0]
    backoff = Backoff(lambda: chance[0])
    assert backoff.seconds() == 0
    pauses = []
    for _ in range(40):
        backoff.trouble()
        pauses.append(backoff.seconds())
    assert pauses[:6] == [0.5, 1, 2, 4, 8, 10]
    assert pauses[-1] == 10
    chance[0] = 0.0
    assert backoff.seconds() == 5
    backoff.well()
    assert backoff.seconds() == 0
