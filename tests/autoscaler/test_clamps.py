import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from observations import observation

from autoscaler.limits import Calm, Limits, ceiling, clamp, closed
from autoscaler.observation import Decision, Spending

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
        (6, replace(observation(idle=4), no_capacity=169.2), 4, "why; no capacity for 170 s more"),
        (4, replace(observation(idle=4), no_capacity=169.2), 4, "why"),
        (1, observation(idle=9, maximum=3), 3, "why; scale-in waits 10 s more; maximum 3"),
        (1, observation(idle=9, maximum=3, stale={"demand"}), 3, "why; no scale-in without demand; maximum 3"),
        (5, observation(idle=9, maximum=3, stale={"demand"}), 3, "why; maximum 3"),
    ],
)
def test_each_clamp_that_bites_names_itself(desired, seen, expected, reason):
    decision, _ = clamped(desired, seen)
    assert (decision.desired, decision.reason) == (expected, reason)


@pytest.mark.parametrize(
    ("seen", "limits", "expected"),
    [
        (observation(maximum=8, idle=2), LIMITS, 8),
        (observation(maximum=8, idle=2), replace(LIMITS, step=1), 8),
        (replace(observation(maximum=8, idle=2), no_capacity=60), LIMITS, 2),
        (
            replace(observation(maximum=8, idle=2), spending=Spending(hourly=0.2, today=0, next_hourly=0.1)),
            replace(LIMITS, budget_per_hour=0.5),
            5,
        ),
    ],
)
def test_the_ceiling_is_what_the_limits_allow_one_launch_after_the_other(seen, limits, expected):
    assert ceiling(seen, limits) == expected


def test_the_step_limits_one_launch():
    decision, _ = clamped(10, observation(busy=3), Limits(step=2, scale_in_seconds=0))
    assert (decision.desired, decision.reason) == (5, "why; step 2")


def spending(hourly=0.0, *, today=0.0, following=1.0, unpriced=()):
    return Spending(hourly=hourly, today=today, next_hourly=following, unpriced=unpriced)


def budgeted(desired, seen, money, **budgets):
    limits = Limits(step=20, scale_in_seconds=0, **budgets)
    decision, _ = clamped(desired, replace(seen, spending=money), limits)
    return decision.desired, decision.reason.removeprefix("why").removeprefix("; ")


@pytest.mark.parametrize(
    ("desired", "seen", "money", "expected", "reason"),
    [
        pytest.param(5, observation(busy=3), spending(3), 5, "", id="within"),
        pytest.param(9, observation(busy=3), spending(3), 6, "budget 6.50 $/h", id="as many as fit"),
        pytest.param(9, observation(busy=3), spending(3, following=4), 3, "budget 6.50 $/h", id="the next is too dear"),
        pytest.param(9, observation(), spending(0, following=0.65), 9, "", id="ten times a tenth fit"),
        pytest.param(10, observation(), spending(0, following=0.65), 10, "", id="all of the budget"),
        pytest.param(11, observation(), spending(0, following=0.65), 10, "budget 6.50 $/h", id="one more than all"),
        pytest.param(9, observation(), spending(0, following=0), 9, "", id="for nothing"),
        pytest.param(8, observation(busy=8), spending(16), 3, "budget 6.50 $/h", id="prices doubled"),
        pytest.param(2, observation(busy=8), spending(16), 2, "", id="shrinks by itself"),
        pytest.param(6, observation(busy=4, draining=4), spending(8), 4, "budget 6.50 $/h", id="paid until gone"),
        pytest.param(4, observation(busy=4, draining=4), spending(8), 4, "", id="nobody leaves for the leaving"),
        pytest.param(0, observation(minimum=9), spending(), 6, "minimum 9; budget 6.50 $/h", id="beats the minimum"),
        pytest.param(9, observation(draining=2), spending(12), 0, "budget 6.50 $/h", id="the leaving cost it all"),
    ],
)
def test_the_fleet_never_costs_more_an_hour_than_its_budget(desired, seen, money, expected, reason):
    assert budgeted(desired, seen, money, budget_per_hour=6.5) == (expected, reason)


NOON, LATE = 43_200.0, 86_394.0


@pytest.mark.parametrize(
    ("desired", "seen", "money", "expected", "reason"),
    [
        pytest.param(9, observation(at=NOON, busy=3), spending(3, today=1), 9, "", id="plenty left"),
        pytest.param(9, observation(at=LATE, busy=3), spending(3, today=10), 9, "", id="plenty left, late"),
        pytest.param(4, observation(at=LATE, busy=2), spending(2, today=19.66), 4, "", id="two can be paid for"),
        pytest.param(
            5, observation(at=LATE, busy=2), spending(2, today=19.66), 4, "budget 20.00 $/day", id="not three"
        ),
        pytest.param(7, observation(at=NOON, busy=3), spending(3, today=9.4), 7, "", id="all but one instance's half"),
        pytest.param(8, observation(at=NOON, busy=3), spending(3, today=9.4), 7, "budget 20.00 $/day", id="no more"),
        pytest.param(9, observation(at=NOON, busy=3), spending(3, today=10), 1, "budget 20.00 $/day", id="that half"),
        pytest.param(2, observation(at=NOON, busy=1), spending(1, today=12), 1, "budget 20.00 $/day", id="one stays"),
        pytest.param(2, observation(at=NOON), spending(0, today=12), 1, "budget 20.00 $/day", id="one comes"),
        pytest.param(
            1, observation(at=LATE), spending(0, today=19.99), 0, "budget 20.00 $/day", id="not even a minute"
        ),
        pytest.param(1, observation(at=LATE, busy=1), spending(1, today=19.99), 1, "", id="who is there may stay"),
        pytest.param(
            3, observation(at=NOON, busy=3, minimum=2), spending(3, today=12), 2, "budget 20.00 $/day", id="min"
        ),
        pytest.param(3, observation(busy=3, minimum=1), spending(3, today=20), 1, "budget 20.00 $/day", id="spent"),
        pytest.param(3, observation(busy=3), spending(3, today=27), 0, "budget 20.00 $/day", id="overspent"),
        pytest.param(2, observation(minimum=2), spending(0, today=20), 0, "budget 20.00 $/day", id="no launch at all"),
    ],
)
def test_nothing_is_launched_that_the_days_budget_cannot_pay_for(desired, seen, money, expected, reason):
    assert budgeted(desired, seen, money, budget_per_day=20) == (expected, reason)


@pytest.mark.parametrize(("desired", "expected"), [(9, 3), (3, 3), (2, 2)])
def test_nothing_is_launched_while_what_was_spent_today_is_not_known(desired, expected):
    money = replace(spending(3, today=0), complete=False)
    reason = "budget 20.00 $/day: what was spent today is not known yet" if desired > expected else ""
    assert budgeted(desired, observation(at=NOON, busy=3), money, budget_per_day=20) == (expected, reason)
    assert budgeted(desired, observation(at=NOON, busy=3), money, budget_per_hour=20) == (desired, "")
    assert budgeted(desired, observation(busy=3), replace(money, today=27), budget_per_day=20)[0] == 0


@pytest.mark.parametrize(("price", "hours", "last"), [(0.01, 24, 20), (0.0893, 24, 1), (0.4, 24, 1), (2.0, 5, 0)])
def test_however_much_is_wanted_all_day_one_instance_stays_as_long_as_half_of_the_budget_pays_for_it(
    price, hours, last
):
    limits, spent, active, calm, served = Limits(step=10, scale_in_seconds=300, budget_per_day=20), 0.0, 0, None, 0
    for at in range(0, 86_400, 10):
        spent += active * price / 360
        money = spending(active * price, today=spent, following=price)
        seen = replace(observation(at=float(at), busy=active), spending=money)
        decision, calm = clamped(20, seen, limits, calm)
        active = decision.desired
        served += bool(active)
    assert served >= hours * 360
    assert active == last
    assert spent <= 20 + price * (limits.scale_in_seconds + 10) / 3600


@pytest.mark.parametrize(
    ("seen", "today", "expected"),
    [
        (observation(at=NOON), 20, 43_200),
        (observation(at=NOON), 25, 43_200),
        (observation(at=NOON), 19.99, 43_200),
        (observation(at=NOON), 19.9, 0),
        (observation(at=NOON, draining=1), 20, 43_200),
        (observation(at=NOON, busy=1), 20, 0),
    ],
)
def test_who_asks_is_told_until_when_there_will_be_nobody(seen, today, expected):
    limits = Limits(step=20, scale_in_seconds=0, budget_per_day=20)
    assert closed(replace(seen, spending=spending(today=today)), limits) == expected
    assert closed(replace(seen, spending=None), limits) == 0
    assert closed(replace(seen, spending=spending(today=today)), LIMITS) == 0


@pytest.mark.parametrize("budgets", [{"budget_per_hour": 6.5}, {"budget_per_day": 6.5}])
@pytest.mark.parametrize(
    ("money", "said"),
    [
        (spending(3, unpriced=("c98.large", "c99.large")), "no price for c98.large, c99.large"),
        (None, "no price for any instance type"),
    ],
)
def test_a_budget_without_a_price_launches_nothing_but_lets_go(budgets, money, said):
    unit = "h" if "budget_per_hour" in budgets else "day"
    seen = observation(busy=3)
    assert budgeted(9, seen, money, **budgets) == (3, f"budget 6.50 $/{unit}: {said}")
    assert budgeted(1, seen, money, **budgets) == (1, "")


def test_without_a_budget_no_price_is_needed():
    assert budgeted(9, observation(busy=3), spending(1e9, today=1e9, unpriced=("c99.large",))) == (9, "")


def test_several_clamps_name_themselves_in_their_order():
    seen = replace(observation(at=LATE, maximum=15, busy=3), spending=spending(3), no_capacity=20)
    decision, _ = clamped(99, seen, Limits(step=10, scale_in_seconds=0, budget_per_hour=9, budget_per_day=0.35))
    assert decision.reason == (
        "why; maximum 15; step 10; budget 9.00 $/h; budget 0.35 $/day; no capacity for 20 s more"
    )
    assert decision.desired == 3


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


@pytest.mark.parametrize("stale", [(), ("demand",)])
@pytest.mark.parametrize(
    ("limits", "today", "kept"),
    [
        (Limits(step=20, scale_in_seconds=10, budget_per_hour=3), 0, 3),
        (Limits(step=20, scale_in_seconds=10, budget_per_day=3), 2.9, 1),
        (Limits(step=20, scale_in_seconds=10, budget_per_day=3), 3, 0),
    ],
)
def test_a_budget_waits_neither_for_calm_nor_for_stale_sources(stale, limits, today, kept):
    seen = replace(observation(busy=9, stale=stale), minimum=0, spending=spending(9, today=today))
    assert clamped(9, seen, limits)[0].desired == kept
    assert clamped(0, seen, limits)[0].desired == kept


def test_a_lowered_maximum_waits_neither_for_calm_nor_for_stale_sources():
    decision, calm = clamped(1, observation(maximum=3, idle=9, stale={"demand"}))
    assert decision.desired == 3
    assert calm is None


def test_a_fleet_that_shrank_by_itself_is_not_grown_by_an_old_calm():
    seen = observation(at=1000.0, busy=3)
    decision, calm = clamped(1, seen, calm=Calm(since=900.0, most=6))
    assert (decision.desired, calm) == (3, Calm(since=1000.0, most=1))


@pytest.mark.parametrize("limits", [replace(LIMITS, budget_per_hour=1), replace(LIMITS, budget_per_day=1)])
def test_what_costs_nothing_is_not_launched_either_when_more_than_the_budget_is_spent(limits):
    seen = replace(observation(draining=2), spending=spending(hourly=2, today=2, following=0))
    assert clamped(4, seen, limits)[0].desired == 0


counts = st.integers(0, 12)


dollars = st.floats(0, 20)


@given(
    desired=st.integers(0, 100),
    limits=st.builds(
        Limits,
        step=st.integers(1, 30),
        scale_in_seconds=st.integers(0, 20),
        budget_per_hour=dollars,
        budget_per_day=dollars,
    ),
    maximum=st.integers(1, 12),
    busy=counts,
    leaving=counts,
    money=st.none() | st.builds(spending, dollars, today=dollars, following=dollars),
    no_capacity=st.sampled_from([0.0, 5.0]),
    stale=st.sampled_from([(), ("demand",)]),
    calm=st.none() | st.builds(Calm, since=st.floats(900, 1000), most=counts),
    unsure=st.integers(0, 5),
)
def test_whatever_the_limits_the_result_is_never_above_the_maximum_and_a_launch_fits_them_all(
    desired, limits, maximum, busy, leaving, money, no_capacity, stale, calm, unsure
):
    seen = observation(maximum=maximum, busy=busy, draining=leaving, stale=stale)
    seen = replace(seen, spending=money, no_capacity=no_capacity, unsure=unsure)
    decision, _ = clamped(desired, seen, limits, calm)
    assert 0 <= decision.desired <= maximum
    launched = decision.desired - seen.active
    if launched > 0:
        assert not no_capacity
        assert launched <= limits.step
        assert busy + leaving + unsure + launched <= maximum
        if limits.budget_per_hour:
            assert money.hourly + (unsure + launched) * money.next_hourly <= limits.budget_per_hour + 1e-6
        if limits.budget_per_day:
            assert (unsure + launched) * money.next_hourly / 60 <= limits.budget_per_day - money.today + 1e-6


@given(desired=st.integers(0, 100), maximum=st.integers(1, 12), busy=counts, pending=counts, leaving=counts)
def test_a_launch_never_lifts_the_whole_fleet_above_the_maximum(desired, maximum, busy, pending, leaving):
    seen = observation(maximum=maximum, busy=busy, pending=pending, draining=leaving)
    decision, _ = clamped(desired, seen)
    if decision.desired > seen.active:
        assert decision.desired + leaving <= maximum
