from dataclasses import dataclass, field

import numpy as np
import pytest

from autoscaler.simulator.baselines import BASELINES, StaticPeak
from autoscaler.simulator.baselines.aws_tracking import AwsTracking
from autoscaler.simulator.baselines.backlog import acceptable
from autoscaler.simulator.baselines.hpa import Hpa
from autoscaler.simulator.baselines.keda import Keda
from autoscaler.simulator.baselines.knative import Knative
from autoscaler.simulator.baselines.ray_serve import RayServe
from autoscaler.simulator.baselines.window import Window
from autoscaler.simulator.distributions import Fixed
from autoscaler.simulator.model import Model
from autoscaler.simulator.view import Scaler, View
from autoscaler.simulator.world import simulate


@dataclass
class Story:
    """Whole seconds of a world that does what it is told, whatever the scaler wants."""

    scaler: Scaler
    concurrency: int = 2
    lag: float = 0.0
    now: int = 0
    waiting: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)

    def ask(self, waiting: int = 0, running: int = 0, *, ready: int = 0, coming: int = 0) -> int:
        return self.scaler.desired(
            View(
                now=float(self.now),
                concurrency=self.concurrency,
                minimum=0,
                maximum=20,
                sqs_lag=self.lag,
                ready=ready,
                coming=coming,
                waiting=waiting,
                in_flight=running,
                waiting_each_second=self.waiting,
                in_flight_each_second=self.running,
            )
        )

    def run(self, seconds: int, waiting: int = 0, running: int = 0, *, ready: int = 0, coming: int = 0) -> dict:
        """The first answer and each that differs from the one before, by its second; asks at second 0 as well."""
        answers: dict[int, int] = {}
        last = None
        if not self.now:
            self.ask(ready=ready, coming=coming)
        for _ in range(seconds):
            self.now += 1
            self.waiting.append(waiting)
            self.running.append(running)
            if self.now % self.scaler.every == 0:
                wanted = self.ask(waiting, running, ready=ready, coming=coming)
                if wanted != last:
                    answers[self.now] = last = wanted
        return answers


@pytest.mark.parametrize(
    ("peak", "instances"),
    [(0, 0), (0.1, 1), (20, 1), (20.1, 2), (140, 7), (400, 20), (480, 20)],
)
def test_static_peak_has_what_the_busiest_bin_keeps_busy_within_the_maximum(peak, instances):
    assert Story(StaticPeak(Model(), peak)).ask(waiting=1000) == instances


def test_static_peak_keeps_to_the_minimum():
    assert Story(StaticPeak(Model(minimum=3), 20)).ask() == 3


@pytest.mark.parametrize(
    ("model", "images"),
    [(Model(), 40), (Model(goal=0.72, service=Fixed(0.18), concurrency=1), 4), (Model(goal=2, service=Fixed(9.0)), 1)],
)
def test_the_acceptable_backlog_is_what_one_instance_works_off_within_the_goal(model, images):
    assert acceptable(model) == pytest.approx(images)


@pytest.mark.parametrize(
    ("metric", "current", "replicas"),
    [
        (40, 1, 1),
        (43, 1, 1),  # within the tolerance
        (45, 1, 2),
        (81, 2, 2),
        (200, 3, 5),
        (10_000, 1, 4),
        (10_000, 3, 6),
        (10_000, 8, 16),
        (10_000, 16, 20),
        (0, 1, 1),
    ],
)
def test_the_hpa_goes_to_the_metric_over_the_target_at_most_doubling_or_to_four(metric, current, replicas):
    assert Hpa(40, 1, 20).replicas(metric, current, 0.0) == replicas


def test_the_hpa_keeps_the_highest_recommendation_of_five_minutes():
    hpa = Hpa(40, 1, 20)
    assert hpa.replicas(400, 10, 0.0) == 10
    assert hpa.replicas(240, 10, 15.0) == 10
    assert hpa.replicas(0, 10, 300.0) == 10
    assert hpa.replicas(0, 10, 315.0) == 6
    assert hpa.replicas(0, 6, 330.0) == 1


def test_keda_leaves_zero_at_its_poll_and_grows_with_the_next_syncs_of_the_hpa():
    story = Story(Keda(Model()))
    assert story.run(15, waiting=400) == {15: 0}
    assert story.run(15, waiting=400) == {30: 1}
    assert story.run(60, waiting=400, coming=1) == {45: 4, 60: 8, 75: 10}


def test_keda_counts_images_in_flight_and_sees_both_as_late_as_sqs_shows_them():
    story = Story(Keda(Model()), lag=30.0)
    assert story.run(60, waiting=30, running=60, ready=1) == {15: 0, 30: 1, 45: 3}


def test_keda_can_be_told_the_queue_length_per_replica():
    story = Story(Keda(Model(initial=1), queue_length=5))
    assert story.ask(waiting=20, ready=1) == 4


def test_keda_goes_to_zero_five_minutes_after_the_last_poll_that_saw_a_message():
    story = Story(Keda(Model()))
    story.run(30, waiting=100)
    story.run(30, waiting=100, ready=1)
    assert story.run(360, ready=3) == {75: 3, 360: 0}


def test_keda_drops_instances_that_no_message_asked_for_and_keeps_the_minimum():
    assert Story(Keda(Model(initial=5))).ask(ready=5) == 0
    assert Story(Keda(Model(initial=0, minimum=2))).run(900, ready=2) == {15: 2}


@pytest.mark.parametrize(
    ("values", "second", "mean"),
    [
        ([(0, 6.0)], 0, 6.0),
        ([(0, 6.0), (1, 0.0)], 1, 3.0),
        ([(0, 6.0), (1, 12.0)], 3, 9.0),
        ([(0, 6.0), (3, 6.0)], 3, 3.0),
        ([(0, 6.0), (1, 6.0), (2, 6.0), (3, 6.0), (4, 1.0)], 4, 4.75),
        ([(0, 6.0)], 4, 0.0),
        ([(0, 6.0), (4, 8.0)], 4, 8.0),
        ([(0, 6.0), (9, 2.0), (10, 4.0)], 10, 3.0),
    ],
)
def test_knatives_window_averages_over_what_it_knows_and_starts_afresh_after_a_gap(values, second, mean):
    window = Window(4)
    for when, value in values:
        window.record(when, value)
    assert window.mean(second) == mean


def test_knatives_window_is_empty_once_its_last_value_is_older_than_itself():
    window = Window(4)
    assert window.is_empty(0)
    window.record(0, 1.0)
    assert not window.is_empty(4)
    assert window.is_empty(5)


def test_knative_answers_the_first_requests_at_zero_within_a_second_with_a_pod_for_each_seven_tenths_of_a_slot():
    story = Story(Knative(Model()))
    assert story.run(6) == {1: 0}
    assert story.run(10, waiting=14, coming=1) == {7: 10}


@pytest.mark.parametrize(("busy", "pods"), [(0, 5), (7, 5), (10, 8), (14, 10), (27, 20)])
def test_knative_follows_a_minutes_mean_in_stable_mode_and_at_most_halves(busy, pods):
    story = Story(Knative(Model(initial=10)))
    story.run(130, running=14, ready=10)
    assert list(story.run(60, running=busy, ready=10).values())[-1] == pods


def test_knative_panics_on_six_seconds_at_twice_its_capacity_and_does_not_shrink_for_a_minute():
    story = Story(Knative(Model(initial=1)))
    story.run(120, running=1, ready=1)
    assert story.run(6, waiting=20, running=2, ready=1) == {121: 1, 122: 6, 124: 11, 126: 16}
    calm = story.run(80, ready=16)
    assert calm == {127: 16, 188: 8}


def test_knative_starts_in_panic_mode_with_more_than_one_pod():
    assert Story(Knative(Model(initial=8))).run(70, ready=8) == {1: 8, 62: 4}


def test_knative_goes_to_zero_once_a_whole_minute_was_idle():
    story = Story(Knative(Model(initial=1)))
    story.run(100, running=1, ready=1)
    assert story.run(80, ready=1) == {101: 1, 160: 0}


def test_knative_does_not_go_to_zero_in_a_pods_first_minute_nor_while_it_boots():
    story = Story(Knative(Model()))
    story.run(1, waiting=1)
    assert story.run(80, coming=1) == {2: 1}
    assert story.run(70, ready=1) == {82: 1, 142: 0}


def test_knative_waits_for_its_activator_when_spare_capacity_had_kept_it_out_of_the_path():
    story = Story(Knative(Model(initial=1, concurrency=300)), concurrency=300)
    story.run(100, running=10, ready=1)
    assert story.run(120, ready=1) == {101: 1, 190: 0}


def test_ray_serve_grows_after_half_a_minute_and_shrinks_after_ten():
    story = Story(RayServe(Model(initial=1)))
    story.run(60, running=2, ready=1)
    assert story.run(80, waiting=8, running=2, ready=1) == {61: 1, 100: 5}
    assert story.run(700, running=2, ready=5) == {141: 5, 750: 1}


def test_ray_serves_half_minute_starts_anew_when_the_wish_goes_away():
    story = Story(RayServe(Model(initial=1)))
    for _ in range(4):
        assert set(story.run(8, waiting=9, ready=1).values()) == {1}
        assert set(story.run(52, ready=1).values()) == {1}


def test_ray_serve_wakes_at_once_but_only_to_one_replica():
    story = Story(RayServe(Model()))
    assert story.run(3) == {1: 0}
    assert story.run(60, waiting=30, coming=1) == {4: 1}
    assert story.run(40, waiting=30, ready=1) == {64: 1, 94: 15}


def test_ray_serve_goes_to_zero_from_one_alone():
    story = Story(RayServe(Model(initial=6)))
    assert story.run(610, ready=6) == {1: 6, 600: 1}
    assert story.run(700, ready=1) == {611: 1, 1201: 0}


@pytest.mark.parametrize(("period", "second"), [(60, 180), (10, 30)])
def test_aws_grows_in_proportion_after_three_periods_above_the_target(period, second):
    story = Story(AwsTracking(Model(initial=2), period))
    assert story.run(200, waiting=250, ready=2) == {period: 2, second: 7}


@pytest.mark.parametrize("period", [60, 10])
def test_aws_counts_instances_that_boot_as_asked_for_and_looks_again_once_a_minute(period):
    story = Story(AwsTracking(Model(initial=2), period))
    story.run(3 * period, waiting=250, ready=2)
    at = story.now
    assert story.run(60 - period, waiting=500, ready=2, coming=5) == ({at + period: 7} if period < 60 else {})
    assert list(story.run(60, waiting=500, ready=2, coming=5).values())[-1] == 13


@pytest.mark.parametrize(("period", "further"), [(60, {1080: 3, 1140: 2}), (10, {1030: 4, 1070: 3, 1130: 2})])
def test_aws_shrinks_by_one_a_minute_after_fifteen_minutes_below_the_low_threshold(period, further):
    story = Story(AwsTracking(Model(initial=5), period))
    assert story.run(1020, waiting=150, ready=5) == {period: 5, 900 - period: 4}
    assert story.run(120, ready=4) == further


def test_aws_does_not_shrink_just_below_the_target_nor_while_instances_boot():
    story = Story(AwsTracking(Model(initial=5), 60))
    assert story.run(1800, waiting=185, ready=5) == {60: 5}
    assert story.run(1800, ready=3, coming=2) == {1860: 5}


def test_aws_starts_an_empty_group_for_a_single_waiting_image_and_may_empty_it():
    story = Story(AwsTracking(Model(), 60))
    assert story.run(240, waiting=1) == {60: 0, 180: 1}
    assert story.run(1200, ready=1) == {300: 1, 1140: 0}


def test_aws_sees_the_queue_as_late_as_sqs_shows_it():
    story = Story(AwsTracking(Model(initial=1), 10), lag=30.0)
    assert story.run(70, waiting=100, ready=1) == {10: 1, 50: 3}


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_answers_a_burst_in_the_simulated_world_and_comes_home(name):
    model = Model()
    run = simulate(np.linspace(60, 400, 20_000), 3600.0, BASELINES[name](model), model)
    assert run.policy == name
    assert np.isfinite(run.latencies).all()
    assert run.fleet.max() <= model.maximum
    assert run.ready[-1] == 0
