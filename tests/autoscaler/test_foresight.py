import math

import pytest
from msgspec import structs
from observations import observation

from autoscaler.forecasting.contest import YOUNG_MARGIN
from autoscaler.observation import DEMAND
from autoscaler.policies.caution import LEAST, MOST, TARGET, Caution
from autoscaler.policies.foresight import Foresight
from skylens.errors import MessageError
from skylens.settings import ScalerSettings

CAPACITY = 40
"""Images a second of one instance in these observations: 4 slots, 0.1 s of work."""


def foresight(**settings):
    return Foresight(ScalerSettings(**{"scale_in_seconds": 0, "utilisation": 0.9, "latency_goal": 2, **settings}))


def seen(at, arrivals=(), **more):
    return structs.replace(observation(at=at, **more), arrivals=tuple(arrivals))


def desired(policy, at, arrivals=(), **more):
    return policy.decide(seen(at, arrivals, **more)).desired


def steady(policy, rate, seconds, start=1000.0, **more):
    """Feed a steady rate; the last decision."""
    for second in range(seconds):
        decision = policy.decide(seen(start + second, (rate,), **more))
    return decision


@pytest.mark.parametrize(
    ("rate", "instances"),
    [(0, 0), (1, 1), (28, 1), (29, 2), (100, 4), (400, 14), (5000, 20)],
)
def test_in_its_first_minute_it_makes_the_fleet_for_the_present_rate_and_a_quarter(rate, instances):
    assert desired(foresight(), 1000.0, [rate] * 20) == instances
    assert instances == min(20, math.ceil(rate * (1 + YOUNG_MARGIN) / CAPACITY / 0.9))


def test_the_first_image_of_all_asks_for_an_instance():
    assert desired(foresight(), 1000.0, [0] * 19 + [1], outstanding=1) == 1
    assert desired(foresight(), 1000.0, outstanding=1) == 1


@pytest.mark.parametrize(
    ("outstanding", "fleet", "instances"),
    [
        (100, {}, 2),  # 100 images at 40 a second within 2 s, and nothing there yet
        (800, {}, 10),
        (100, {"idle": 1}, 1),  # one instance clears 96 waiting ones in 3 s, long before another is up
        (8000, {"idle": 2}, 20),
    ],
)
def test_a_backlog_asks_for_what_drains_it_within_the_goal_unless_the_fleet_can_spare_that(
    outstanding, fleet, instances
):
    assert desired(foresight(), 1000.0, [0] * 20, outstanding=outstanding, **fleet) == instances


def test_a_spare_instance_stays_until_it_has_cost_as_much_as_its_next_launch():
    policy = foresight()
    assert desired(policy, 1000.0, [200] * 20) == 7
    assert desired(policy, 1010.0, [0] * 10, idle=7) == 7
    for second in range(11, 61):
        assert desired(policy, 1000.0 + second, [0], idle=7) == 7
    assert desired(policy, 1061.0, [0], idle=7) == 0


def test_the_hold_is_a_boot_when_that_is_longer_and_counts_the_clamps_own_delay():
    policy = foresight(minimum_bill_seconds=0, scale_in_seconds=10)
    assert desired(policy, 1000.0, [200] * 10) == 7
    assert desired(policy, 1010.0, [0] * 10, idle=7) == 7
    held = [second for second in range(11, 60) if desired(policy, 1000.0 + second, [0], idle=7) == 7]
    assert max(held) == 20  # boot 30 s less the clamp's 10 s


def test_each_second_is_taken_in_once_however_often_it_is_shown():
    often, once = foresight(), foresight()
    for second in range(100):
        for part in (0.0, 0.4, 0.8):
            often.decide(seen(1000 + second + part, [second] * 20))
        once.decide(seen(1000 + second, [second] * 20))
    assert often._contest.present == once._contest.present


def test_seconds_that_a_slow_tick_missed_are_made_up_for():
    slow, quick = foresight(), foresight()
    counts = list(range(50))
    for upto in range(1, 51):
        quick.decide(seen(1000.0 + upto, counts[max(0, upto - 20) : upto]))
    slow.decide(seen(1001.0, counts[:1]))
    slow.decide(seen(1050.0, counts[1:]))
    assert slow._contest.present == quick._contest.present == sum(counts[-10:]) / 10


def test_demand_that_is_stale_is_not_taken_for_silence():
    policy = foresight()
    steady(policy, 100, 30)
    for second in range(200):
        decision = policy.decide(seen(1030.0 + second, [0], stale={DEMAND}, idle=4))
    assert decision.desired == 4


def test_it_says_what_it_expects_why_and_what_it_holds():
    policy = foresight()
    steady(policy, 100, 30)
    reason = policy.decide(seen(1031.0, [0] * 30, idle=4)).reason
    assert "last value" in reason
    assert "break-even holds 4" in reason


def test_late_images_make_it_more_cautious_and_punctual_ones_less_so():
    caution = Caution(0.9)
    for _ in range(100):
        caution.see(late=True, weight=1)
    assert caution.quantile > 0.95
    for _ in range(100_000):
        caution.see(late=False, weight=1)
    assert caution.level == LEAST
    for _ in range(100_000):
        caution.see(late=True, weight=1)
    assert caution.level == MOST


def test_caution_rests_where_the_share_of_late_images_is_the_one_aimed_at():
    caution = Caution(0.9)
    for second in range(20_000):
        caution.see(late=second % round(1 / TARGET) == 0, weight=1)
    assert caution.quantile == pytest.approx(0.9, abs=0.01)


def test_what_is_late_although_the_whole_fleet_works_teaches_nothing():
    policy = foresight()
    steady(policy, 2000, 100, outstanding=100_000, busy=20)
    assert policy._caution.quantile == pytest.approx(0.9)
    steady(policy, 2000, 100, start=1100.0, outstanding=100_000, busy=10)
    assert policy._caution.quantile > 0.9


def test_what_it_learned_survives_a_restart():
    before, after = foresight(), foresight()
    steady(before, 100, 1500, busy=5, outstanding=8)
    after.learn(before.learned())
    steady(after, 100, 20, start=2500.0, busy=5, outstanding=8)
    ours, theirs = steady(before, 100, 20, start=2500.0, busy=5), steady(after, 100, 20, start=2520.0, busy=5)
    assert theirs.desired == ours.desired
    assert theirs.reason.partition("(")[0] == ours.reason.partition("(")[0]


def test_a_damaged_memory_is_refused_and_nothing_is_lost():
    policy = foresight()
    with pytest.raises(MessageError):
        policy.learn(b'{"contest": 1}')
    assert desired(policy, 1000.0, [100] * 20) == 4
