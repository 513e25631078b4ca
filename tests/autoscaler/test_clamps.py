import pytest
from hypothesis import given
from hypothesis import strategies as st
from observations import observation

from autoscaler.limits import Calm, Limits, clamp
from autoscaler.observation import Decision

LIMITS = Limits(step=20, scale_in_seconds=10)


def clamped(desired, seen, limits=LIMITS, calm=None):
    return clamp(Decision(desired=desired, reason="why"), seen, limits, calm)


@pytest.mark.parametrize(
    ("desired", "seen", "expected", "reason"),
    [
        (5, observation(), 5, "why"),
        (0, observation(minimum=2), 2, "why; minimum 2"),
        (30, observation(maximum=8), 8, "why; maximum 8"),
        (8, observation(maximum=8, busy=2, draining=3, stopping=1), 4, "why; maximum 8 with 4 leaving"),
        (8, observation(maximum=8, busy=2, draining=7), 2, "why; maximum 8 with 7 leaving"),
        (8, observation(maximum=8, pending=3, booting=3), 8, "why"),
        (3, observation(minimum=3, maximum=3, draining=3), 0, "why; maximum 3 with 3 leaving"),
        (1, observation(idle=4, stale={"demand"}), 4, "why; no scale-in without demand"),
        (1, observation(idle=4, stale={"queue", "events"}), 4, "why; no scale-in without events and queue"),
        (6, observation(idle=4, stale={"demand"}), 6, "why"),
        (1, observation(idle=4), 4, "why; scale-in waits 10 s more"),
    ],
)
def test_each_clamp_that_bites_names_itself(desired, seen, expected, reason):
    decision, _ = clamped(desired, seen)
    assert (decision.desired, decision.reason) == (expected, reason)


def test_the_step_limits_one_launch():
    decision, _ = clamped(10, observation(busy=3), Limits(step=2, scale_in_seconds=0))
    assert (decision.desired, decision.reason) == (5, "why; step 2")


def run(wanted, *, delay=10, active=8, stale_at=()):
    """What a fleet of ``active`` is clamped to, second by second."""
    calm, allowed = None, []
    for second, desired in enumerate(wanted):
        stale = {"demand"} if second in stale_at else set()
        seen = observation(at=1000.0 + second, idle=active, stale=stale)
        decision, calm = clamped(desired, seen, Limits(step=20, scale_in_seconds=delay), calm)
        allowed.append(decision.desired)
    return allowed


def test_scale_in_waits_until_fewer_were_enough_for_long_and_keeps_the_most_wanted_meanwhile():
    assert run([2, 5, 3, 1], delay=3) == [8, 8, 8, 5]


def test_one_moment_of_need_starts_the_wait_over():
    assert run([2, 2, 8, 2, 2, 2, 2], delay=3) == [8, 8, 8, 8, 8, 8, 2]


def test_one_stale_moment_starts_the_wait_over():
    assert run([2, 2, 2, 2, 2, 2, 2], delay=3, stale_at={2}) == [8, 8, 8, 8, 8, 8, 2]


def test_without_a_delay_scale_in_is_immediate():
    assert run([2], delay=0) == [2]


def test_a_fleet_above_a_lowered_maximum_is_brought_down():
    decision, _ = clamped(9, observation(maximum=3, busy=9), Limits(step=1, scale_in_seconds=0))
    assert decision.desired == 3


def test_a_fleet_that_shrank_by_itself_is_not_grown_by_an_old_calm():
    seen = observation(at=1000.0, busy=3)
    decision, calm = clamped(1, seen, calm=Calm(since=900.0, most=6))
    assert (decision.desired, calm) == (3, Calm(since=1000.0, most=1))


counts = st.integers(0, 12)


@given(desired=st.integers(0, 100), maximum=st.integers(1, 12), busy=counts, pending=counts, leaving=counts)
def test_a_launch_never_lifts_the_whole_fleet_above_the_maximum(desired, maximum, busy, pending, leaving):
    seen = observation(maximum=maximum, busy=busy, pending=pending, draining=leaving)
    decision, _ = clamped(desired, seen)
    if decision.desired > seen.active:
        assert decision.desired + leaving <= maximum
