"""Slots and idleness are counted right."""

import pytest

from app_aws.backoff import Backoff
from app_aws.pace import MOST
from app_aws.tally import Tally
from skylens.clock import FakeClock


def test_slots_are_taken_and_given_back():
    tally = Tally(2, FakeClock().clock())
    assert tally.free(0) == 2
    assert tally.take(1)
    assert not tally.take(1)
    assert tally.free(0) == 0
    assert not tally.settled(0)
    tally.enter()
    tally.enter()
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
    tally.enter()
    tally.enter()
    tally.leave(1)
    assert (tally.count().in_flight, tally.free(0)) == (2, 1)
    tally.take(1)
    tally.leave(1)
    assert tally.free(0) == 0, "as many are in flight as may be"
    tally.give_back(answered=True)
    assert tally.free(0) == 1


def worked(tally, clock, images, seconds):
    """So many images one after the other, at that pace, from a queue that has more."""
    for _ in range(images):
        tally.take(1)
        tally.enter()
        clock.sleep(seconds)
        tally.leave(seconds)
        tally.give_back(answered=True)


@pytest.mark.parametrize(("seconds", "ahead"), [(0.02, 20), (0.0001, MOST), (0.05, 8), (0.3, 0), (0, 0)])
def test_some_tenths_of_a_second_of_work_are_received_ahead(seconds, ahead):
    clock = FakeClock()
    tally = Tally(2, clock.clock(), held=100)
    worked(tally, clock, 7, seconds)
    assert tally.free(0) == 2, "nobody knows the pace yet"
    worked(tally, clock, 20, seconds)
    assert tally.free(0) in {2 + ahead, 2 + ahead - 1}  # rounded down


def test_with_its_slots_taken_it_receives_only_what_is_worth_a_call():
    clock = FakeClock()
    tally = Tally(2, clock.clock(), held=100)
    worked(tally, clock, 20, 0.01)
    ahead = tally.free(0) - 2
    tally.take(tally.free(0))
    assert (tally.free(0), tally.pressing()) == (0, True)
    calls = []
    while tally.pressing():
        tally.enter()
        clock.sleep(0.01)
        tally.leave(0.01)
        tally.give_back(answered=True)
        calls.append(tally._is_worth_a_call())
    assert calls.index(True) + 1 >= ahead // 2


def test_a_queue_that_runs_dry_ends_that():
    clock = FakeClock()
    tally = Tally(2, clock.clock(), held=100)
    worked(tally, clock, 20, 0.01)
    tally.supplied(10, 5)
    assert tally.free(0) > 2
    tally.supplied(10, 4)
    assert tally.free(0) == 2


def test_the_pace_of_before_a_rest_says_nothing():
    clock = FakeClock()
    tally = Tally(2, clock.clock(), held=100)
    worked(tally, clock, 20, 0.01)
    clock.sleep(5)
    worked(tally, clock, 8, 0.05)
    assert tally.free(0) in {2 + 8, 2 + 8 - 1}


def test_no_more_are_in_flight_than_may_be_at_any_pace():
    clock = FakeClock()
    tally = Tally(2, clock.clock(), held=4)
    worked(tally, clock, 20, 0.01)
    assert tally.free(0) == 4


def test_idle_time_runs_from_the_last_work():
    clock = FakeClock()
    tally = Tally(1, clock.clock())
    clock.sleep(5)
    assert tally.idle() == 5
    tally.take(1)
    clock.sleep(5)
    assert tally.idle() == 0
    tally.enter()
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
