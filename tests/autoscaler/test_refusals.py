"""How long a place without capacity is left alone."""

from autoscaler.fleets.refusals import Refusals


def test_who_never_refused_may_be_asked():
    assert Refusals().left(0) == 0


def test_each_refusal_is_remembered_twice_as_long_as_the_one_before_up_to_three_minutes():
    refusals, now, pauses = Refusals(), 1000.0, []
    for _ in range(6):
        pauses.append(refusals.add(now))
        assert refusals.left(now + 5) == pauses[-1] - 5
        now += pauses[-1]
        assert refusals.left(now) == 0
    assert pauses == [15, 30, 60, 120, 180, 180]


def test_a_place_that_did_not_refuse_for_three_minutes_begins_anew():
    refusals = Refusals()
    refusals.add(0)
    assert refusals.add(15 + 180) == 30
    assert refusals.add(195 + 30 + 181) == 15
