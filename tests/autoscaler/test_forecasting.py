import math

import pytest

from autoscaler.forecasting.contest import EVERY, YOUNG_MARGIN, Contest
from autoscaler.forecasting.forecasters import DAY, Ewma, Holt, Last, Yesterday, pinball
from autoscaler.forecasting.residuals import ENOUGH, KEPT, Residuals

HORIZON = 30


def fed(forecaster, counts, start=0):
    for second, count in enumerate(counts, start):
        forecaster.see(second, count)
    return forecaster


def contest(counts, *, quantile=0.9, start=0):
    made = Contest()
    for second, count in enumerate(counts, start):
        made.see(second, count, HORIZON, quantile)
    return made


@pytest.mark.parametrize(
    ("counts", "rate"), [([], 0), ([10], 1), ([10] * 10, 10), ([99] * 5 + [20] * 10, 20), ([0] * 9 + [100], 10)]
)
def test_the_last_value_is_the_mean_of_ten_seconds(counts, rate):
    assert fed(Last(), counts).point(HORIZON) == rate


def test_the_moving_average_begins_as_the_plain_mean_and_then_forgets_slowly():
    young = fed(Ewma(60), [4, 8])
    assert young.point(HORIZON) == 6
    old = fed(Ewma(60), [10] * 100 + [20] * 60)
    assert old.point(HORIZON) == pytest.approx(20 - 10 * (1 - 1 / 60) ** 60)


def test_a_rising_trend_goes_on_and_a_falling_one_does_not():
    assert fed(Holt(), range(400)).point(30) == pytest.approx(429, abs=1)
    assert fed(Holt(), range(400, 100, -1)).point(300) == pytest.approx(100, abs=5)
    assert fed(Holt(), []).point(30) == 0


def test_yesterday_is_the_same_minute_a_day_ago_and_unknown_before_there_was_one():
    day = [minute for minute in range(DAY + 1) for _ in range(60)]
    forecaster = fed(Yesterday(), day[: DAY * 60])
    assert forecaster.point(60) == pytest.approx(0)
    assert forecaster.point(61 * 60) == 60
    assert fed(Yesterday(), [5] * 600).point(60) is None


def test_yesterday_keeps_no_more_than_a_day():
    forecaster = fed(Yesterday(), [1] * 86400 * 2)
    fed(forecaster, [1] * 120, start=86400 * 5)
    forecaster.prune()
    assert len(forecaster.minutes) <= DAY


@pytest.mark.parametrize(
    ("quantile", "actual", "forecast", "loss"), [(0.9, 10, 8, 1.8), (0.9, 8, 10, 0.2), (0.5, 8, 10, 1), (0.9, 5, 5, 0)]
)
def test_pinball_loss_weighs_too_little_by_the_quantile_and_too_much_by_the_rest(quantile, actual, forecast, loss):
    assert pinball(quantile, actual, forecast) == pytest.approx(loss)


def test_errors_are_forgotten_in_the_order_that_they_came():
    residuals = Residuals()
    for value in [100.0] * 10 + [float(n) for n in range(KEPT)]:
        residuals.add(value)
    assert len(residuals) == KEPT
    assert residuals.quantile(1.0) == KEPT - 1
    assert residuals.quantile(0.5) == KEPT / 2 - 1
    assert residuals.quantile(0.0) == 0


@pytest.mark.parametrize(
    ("errors", "quantile", "margin"),
    [
        ([5.0] * 9, 0.98, 0),  # a burst of nine among 720 is the last 1.25 %
        ([5.0] * 15, 0.98, 5),
        ([5.0] * 15, 0.9, 0),
        ([-5.0] * 700, 0.9, 0),
        ([-5.0] * 720, 0.9, -5),
        ([], 0.9, 0),
    ],
)
def test_errors_that_are_still_to_be_made_count_as_none(errors, quantile, margin):
    assert Residuals(errors).quantile(quantile) == margin


def test_in_the_first_minutes_the_present_rate_gets_a_fixed_margin():
    told = contest([20] * 60).forecast(HORIZON, 0.9)
    assert told.rate == pytest.approx(20 * (1 + YOUNG_MARGIN))
    assert told.name == "last value"
    assert Contest().forecast(HORIZON, 0.9).rate == 0


def test_steady_traffic_needs_hardly_any_margin():
    assert contest([20] * 1200).forecast(HORIZON, 0.9).rate == pytest.approx(20)


def test_the_quantile_is_above_nine_in_ten_of_what_comes():
    wave = [round(100 + 40 * math.sin(second / 97) + 20 * (second // 37 % 3)) for second in range(9000)]
    made, covered = Contest(), []
    due = {}
    for second, count in enumerate(wave):
        made.see(second, count, HORIZON, 0.9)
        if second in due:
            covered.append(due.pop(second) >= made.present)
        due[second + HORIZON] = made.forecast(HORIZON, 0.9).rate
    late = covered[4000:]
    assert 0.84 < sum(late) / len(late) < 0.97


def test_a_steady_climb_is_foreseen_by_the_trend():
    told = contest(range(1800)).forecast(HORIZON, 0.9)
    assert told.rate == pytest.approx(1829, abs=15)


def test_a_daily_jump_is_foreseen_once_it_was_seen_yesterday():
    day = [200 if 40020 <= second < 44000 else 20 for second in range(86400)]
    jumpy = Contest()
    for second, count in enumerate(day + day[:40000]):
        jumpy.see(second, count, HORIZON, 0.99)
    points = [forecaster.point(HORIZON) for forecaster in jumpy._forecasters]
    assert points[-1] == 200
    assert max(points[:-1]) < 30


def test_what_was_forecast_across_missing_seconds_is_not_judged():
    made = contest([10] * 20)
    made.skip()
    for second in range(1000, 1000 + HORIZON):
        made.see(second, 500, HORIZON, 0.9)
    assert all(len(one.residuals) == 0 for one in made._candidates)


def test_a_contest_goes_on_from_its_record_as_if_nothing_had_happened():
    counts = [100 + second // 60 % 7 * 10 for second in range(4000)]
    before = contest(counts)
    after = Contest()
    after.restore(before.record())
    for second, count in enumerate(counts[-600:], 4000):
        before.see(second, count, HORIZON, 0.9)
        after.see(second, count, HORIZON, 0.9)
    ours, theirs = before.forecast(HORIZON, 0.9), after.forecast(HORIZON, 0.9)
    assert theirs.rate == pytest.approx(ours.rate, rel=0.1)
    assert any(len(one.residuals) > ENOUGH + 600 // EVERY for one in after._candidates)
