import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_world import SlowWorld

from autoscaler.simulator.distributions import Fixed, Lognormal
from autoscaler.simulator.model import Model
from autoscaler.simulator.world import GRACE, simulate


class Listed:
    """Draws these values one after the other."""

    def __init__(self, values):
        self._values = list(values)

    mean = 0.0

    def draw(self, rng, count):
        drawn, self._values = self._values[:count], self._values[count:]
        return np.array(drawn, float)


class Script:
    """Wants what the script says for each decision, its last word for ever after, and keeps what it saw."""

    name, needs_workers, idle_timeout, resident = "script", True, 0.0, 0

    def __init__(self, *script, every=1.0):
        self.script, self.every, self.views = script, every, []

    def desired(self, view):
        self.views.append(view)
        return self.script[min(len(self.views), len(self.script)) - 1]


def run(arrivals, script, seconds=20.0, **model):
    settings = {"service": Fixed(1.0), "boot": Fixed(2.0), "concurrency": 1, "minimum_bill": 0.0} | model
    return simulate(np.array(arrivals, float), seconds, script, Model(**settings))


@st.composite
def cases(draw):
    """Small worlds; half of them on a grid, where many things happen at the same moment."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    on_grid = draw(st.booleans())
    seconds = draw(st.integers(1, 40))

    def times(low, high, count):
        drawn = rng.uniform(low, high, count)
        return np.floor(drawn * 4) / 4 if on_grid else drawn

    count = draw(st.integers(0, 120))
    return {
        "arrivals": np.sort(times(0, seconds, count)),
        "services": times(0.25, draw(st.sampled_from([0.6, 3.0])), count),
        "boots": times(0, draw(st.sampled_from([1.0, 15.0])), 5000),
        "seconds": float(seconds),
        "script": [*rng.integers(0, 8, draw(st.integers(1, 60))).tolist(), 3],
        "every": draw(st.sampled_from([0.5, 1.0, 3.0, 7.5])),
        "idle_timeout": draw(st.sampled_from([0.0, 0.0, 1.0, 4.5])),
        "resident": draw(st.integers(0, 2)),
        "calls_off": draw(st.booleans()),
        "model": {
            "concurrency": draw(st.integers(1, 3)),
            "minimum": draw(st.integers(0, 2)),
            "maximum": draw(st.integers(2, 6)),
            "initial": draw(st.integers(0, 2)),
            "deaths_per_hour": draw(st.sampled_from([0.0, 0.0, 400.0, 3000.0])),
            "visibility_timeout": draw(st.sampled_from([0.0, 2.0])),
            "leave": draw(st.sampled_from([0.0, 0.0, 1.5, 6.0])),
            "minimum_bill": 0.0,
            "seed": draw(st.integers(0, 1000)),
        },
    }


@settings(max_examples=150, deadline=None)
@given(cases())
def test_the_world_is_exactly_the_slow_and_obvious_one(case):
    script = Script(*case["script"], every=case["every"])
    script.idle_timeout, script.resident, script.calls_off = case["idle_timeout"], case["resident"], case["calls_off"]
    model = Model(service=Listed(case["services"]), boot=Listed(case["boots"]), **case["model"])
    fast = simulate(case["arrivals"], case["seconds"], script, model)
    last = np.ceil(max([case["seconds"], *(case["arrivals"] + fast.latencies)]))
    slow = SlowWorld(
        case["arrivals"],
        case["services"],
        case["boots"],
        model,
        every=case["every"],
        idle_timeout=case["idle_timeout"],
        staying=max(case["resident"], model.minimum),
        calls_off=case["calls_off"],
    ).run(lambda n: case["script"][min(n, len(case["script"]) - 1)], until=last)
    np.testing.assert_array_equal(fast.waits, np.array(slow.starts) - case["arrivals"])
    seen = [
        (
            v.now,
            v.ready,
            v.coming,
            v.leaving,
            v.waiting,
            v.in_flight,
            v.oldest,
            {w.instance: w.in_flight for w in v.workers},
        )
        for v in script.views
    ]
    assert seen == slow.seen
    assert fast.deaths == slow.deaths
    assert fast.launches == len(slow.servers) - model.initial
    assert fast.instance_seconds == pytest.approx(sum(slow.paid(case["seconds"])))
    assert fast.fleet.max() <= model.maximum


def test_the_oldest_request_takes_the_slot_that_is_free_first():
    told = run([0, 0.5, 1.0, 1.5], Script(1), initial=1)
    assert told.waits.tolist() == [0, 0.5, 1.0, 1.5]
    assert told.latencies.tolist() == [1, 1.5, 2.0, 2.5]


def test_requests_wait_for_the_first_boot():
    told = run([0.0, 4.0], Script(1), boot=Fixed(3.5))
    assert told.waits.tolist() == [3.5, 0.5]
    assert told.launches == 1


def test_the_scaler_is_asked_at_its_own_pace_with_what_happened_until_then():
    script = Script(2, every=5.0)
    run([1.0, 1.5, 2.0, 9.0], script, initial=1, service=Fixed(2.5))
    assert [view.now for view in script.views] == [0, 5, 10, 15]
    second = script.views[1]
    assert (second.ready, second.coming, second.waiting, second.in_flight) == (2, 0, 0, 1)
    assert second.oldest == 3.0
    assert (second.boot_seconds, second.service_seconds) == (2.0, 2.5)
    assert second.arrivals[:5] == [0, 2, 1, 0, 0]
    assert second.completions[:5] == [0, 0, 0, 1, 1]
    assert second.waiting_each_second[:5] == [0, 1, 1, 0, 0]
    assert second.in_flight_each_second[:5] == [0, 1, 2, 2, 1]


def test_nothing_is_measured_before_anything_happened():
    script = Script(1)
    run([], script)
    assert (script.views[0].boot_seconds, script.views[0].service_seconds, script.views[0].oldest) == (0, 0, 0)


def test_the_service_time_is_the_mean_over_the_last_200_images():
    script = Script(1)
    run(np.arange(300) / 20, script, initial=1, service=Listed([0.03] * 150 + [0.01] * 150))
    assert script.views[-1].service_seconds == pytest.approx((50 * 0.03 + 150 * 0.01) / 200)


def test_the_boot_time_is_the_90th_percentile_of_the_last_20():
    script = Script(*range(1, 26))
    run([], script, seconds=60.0, boot=Listed(range(1, 26)), maximum=25)
    assert script.views[-1].boot_seconds == 23.0


def test_only_a_scaler_that_asks_for_workers_sees_them():
    script = Script(1)
    script.needs_workers = False
    run([0.5], script, initial=1)
    assert all(view.workers == () for view in script.views)


@pytest.mark.parametrize(
    ("wanted", "minimum", "maximum", "ready"), [(0, 2, 5, 2), (9, 0, 5, 5), (3, 0, 5, 3), (0, 0, 5, 0)]
)
def test_the_world_keeps_within_minimum_and_maximum(wanted, minimum, maximum, ready):
    told = run([], Script(wanted), minimum=minimum, maximum=maximum)
    assert told.ready[-1] == told.fleet[-1] == ready


def test_draining_instances_count_against_the_maximum():
    """At 1 the only instance is busy until 10; a second one has room only then, and boots until 12."""
    told = run([0.5], Script(1, 0, 1), initial=1, maximum=1, service=Fixed(9.5))
    assert told.fleet.max() == 1
    assert told.launches == 1
    assert told.ready.tolist() == [1] + [0] * 10 + [1] * 9


def test_a_drained_instance_finishes_its_work_and_takes_no_more():
    told = run([0.5, 2.0], Script(1, 0), initial=1, service=Fixed(5.0))
    assert told.latencies.tolist() == [5.0, np.inf]
    assert told.instance_seconds == 5.5


def test_an_idle_instance_takes_its_time_to_leave_and_a_busy_one_no_longer_than_its_work():
    told = run([0.5], Script(2, 0), initial=2, service=Fixed(5.0), leave=3.0)
    assert told.fleet.tolist() == [2] * 3 + [1] * 2 + [0] * 15
    assert told.instance_seconds == 4.0 + 5.5


def test_one_that_is_coming_goes_at_once_and_is_paid_until_then():
    told = run([], Script(1, 0), boot=Fixed(10.0))
    assert (told.launches, told.instance_seconds) == (1, 1.0)
    assert told.fleet.tolist() == [1] + [0] * 19


def test_one_that_is_coming_and_not_called_off_boots_before_it_goes_and_works_on_nothing():
    script = Script(1, 0, 0, 0, 1)
    script.calls_off = False
    told = run([0.5], script, boot=Fixed(6.0), maximum=1)
    assert told.fleet.max() == 1
    assert (told.launches, told.waits.tolist()) == (2, [6.0 + 6.0 - 0.5])
    assert told.instance_seconds == 6.0 + 14.0


def test_idle_ones_leave_before_busy_ones():
    told = run([0.5], Script(2, 1), initial=2, service=Fixed(5.0))
    assert told.latencies.tolist() == [5.0]
    assert told.ready[3] == 1
    assert told.instance_seconds == 20 + 1


def test_a_request_of_a_dead_instance_returns_to_the_front_after_the_visibility_timeout():
    """The first instance dies at 3.74, as this seed has it; its image is hidden until 8.74, when another is in work."""
    death = np.random.default_rng([21, 2]).exponential(9.0)
    script = Script(1)
    told = run(
        [death - 0.5, death + 4.5, death + 4.6],
        script,
        initial=1,
        deaths_per_hour=400.0,
        visibility_timeout=5.0,
        seed=21,
    )
    assert told.deaths == 1
    assert told.waits == pytest.approx([6.0, 0.0, 1.9])
    assert told.instance_seconds == pytest.approx(death + 20 - np.ceil(death))
    assert [view.in_flight for view in script.views[4:9]] == [1] * 5


def test_idle_instances_leave_by_themselves_but_for_the_resident_ones():
    script = Script(0)
    script.desired = lambda view: view.active
    script.idle_timeout, script.resident = 4.0, 1
    told = run([1.0, 2.0], script, initial=3, concurrency=1)
    assert told.ready.tolist() == [3] * 3 + [2] * 3 + [1] * 14


def test_the_resident_ones_are_those_that_are_ready_for_longest():
    """The second launch is ready first, at 1, and stays; the first is ready at 5 and leaves at 9."""
    script = Script(2)
    script.desired = lambda view: view.active if view.now else 2
    script.idle_timeout, script.resident = 4.0, 1
    told = run([], script, boot=Listed([5.0, 1.0]))
    assert told.ready.tolist() == [1] * 4 + [2] * 4 + [1] * 12


@pytest.mark.parametrize("wanted", [0, 1])
def test_what_is_not_answered_long_after_the_end_has_waited_for_ever(wanted):
    script = Script(wanted)
    told = run([1.0], script, boot=Fixed(2 * GRACE))
    assert told.latencies.tolist() == [np.inf]
    assert told.late_share(2.0) == 1.0
    assert script.views[-1].now <= 20 + GRACE


def test_the_world_goes_on_until_the_last_request_is_answered_and_pays_for_that():
    told = run([19.0, 19.5], Script(1), initial=1, service=Fixed(10.0))
    assert told.latencies.tolist() == [10.0, 19.5]
    assert told.instance_seconds == 39.0
    assert len(told.arrivals) == len(told.ready) == len(told.fleet) == len(told.outstanding) == 20


def test_an_idle_instance_is_paid_for_until_the_end_of_the_trace():
    told = run([19.5], Script(2), initial=2, service=Fixed(10.0))
    assert told.instance_seconds == 20 + 29.5


def test_each_instance_is_billed_for_the_shortest_time_at_least():
    told = run([], Script(2, 1), minimum_bill=60.0, initial=2)
    assert (told.instance_seconds, told.billed_seconds) == (21.0, 120.0)


def test_series_tell_the_end_of_each_second():
    told = run([0.5, 0.6, 2.5], Script(1), initial=1, service=Fixed(1.0), seconds=4.5)
    assert told.arrivals.tolist() == [2, 0, 1, 0, 0]
    assert told.outstanding.tolist() == [2, 1, 1, 0, 0]


def test_policies_meet_the_same_luck():
    rng = np.random.default_rng(5)
    arrivals = np.sort(rng.uniform(0, 20, 200))
    one, other = (
        run(arrivals, Script(*script), service=Lognormal(0.5, 0.0, 0.2), boot=Lognormal(0.5, 0.0, 2.0), maximum=20)
        for script in ([5, 1, 20], [1, 1, 1, 12])
    )
    np.testing.assert_allclose(one.latencies - one.waits, other.latencies - other.waits)


@pytest.mark.parametrize("arrivals", [[-1.0], [20.0], [3.0, 2.0], [float("nan")]])
def test_arrivals_outside_the_trace_or_unsorted_are_refused(arrivals):
    with pytest.raises(ValueError, match="sorted and within"):
        run(arrivals, Script(1))


def test_more_instances_at_the_start_than_the_maximum_are_refused():
    with pytest.raises(ValueError, match="maximum 1"):
        run([], Script(1), initial=2, maximum=1)
