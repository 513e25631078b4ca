import itertools

import numpy as np
import pytest

from autoscaler.simulator import full_fleet
from autoscaler.simulator.demand_curve import WorkCurves, work_curves
from autoscaler.simulator.distributions import Fixed, Lognormal
from autoscaler.simulator.fleet_search import FleetSearch, Prices
from autoscaler.simulator.lifetimes import Lifetimes
from autoscaler.simulator.model import Model
from autoscaler.simulator.oracle import oracle
from autoscaler.simulator.world import service_times, simulate

GRAIN = 0.5
"""Seconds between two moments at which a fleet tried by brute force may change."""


def model(**changes):
    return Model(
        **{
            "service": Fixed(0.5),
            "boot": Fixed(30.0),
            "concurrency": 1,
            "maximum": 2,
            "goal": 2.0,
            "minimum_bill": 0.0,
            **changes,
        }
    )


def steady(rate, start, end):
    return np.arange(start, end, 1 / rate)


def foreseen(arrivals, seconds, world):
    return oracle(arrivals, np.full(len(arrivals), world.service.mean), seconds, world)


def shared(*parts):
    return np.sort(np.concatenate(parts))


# The search against every fleet there is.


def keeps_up(curves, fleet):
    done = 0
    for second, size in enumerate(fleet):
        done = min(done + curves.units * size, curves.arrived[second + 1])
        if done < curves.due[second + 1]:
            return False
    return True


def price(fleet, prices, initial):
    launched = np.maximum(np.diff(fleet, prepend=initial), 0)
    return float((fleet * prices.running + launched * prices.launch).sum())


def random_work(rng, seconds, units, maximum):
    news = rng.integers(0, units * maximum + 2, seconds)
    total = np.concatenate(([0], np.cumsum(news * (rng.random(seconds) < 0.6))))
    full = units * maximum * np.arange(seconds + 1)
    arrived = np.minimum.accumulate(total - full) + full
    late = int(rng.integers(1, 3))
    due = np.minimum(np.concatenate((np.zeros(late, int), total[:-late])), arrived)
    return WorkCurves(arrived, due, units)


@pytest.mark.parametrize("seed", range(40))
def test_the_search_finds_the_cheapest_of_all_fleets(seed):
    rng = np.random.default_rng(seed)
    seconds, units, minimum, maximum = 6, int(rng.integers(1, 4)), int(rng.integers(0, 2)), 3
    initial = int(rng.integers(minimum, maximum + 1))
    curves = random_work(rng, seconds, units, maximum)
    prices = Prices(rng.random(seconds), rng.random(seconds) * 4)
    found = FleetSearch(curves, prices, minimum=minimum, maximum=maximum, initial=initial).plan()
    fleets = map(np.array, itertools.product(range(minimum, maximum + 1), repeat=seconds))
    cheapest = min(price(fleet, prices, initial) for fleet in fleets if keeps_up(curves, fleet))
    assert found.price == pytest.approx(cheapest)
    assert keeps_up(curves, found.fleet)
    assert price(found.fleet, prices, initial) == pytest.approx(cheapest)


def test_the_search_is_the_same_across_its_kept_tables():
    rng = np.random.default_rng(5)
    curves = random_work(rng, 1000, 2, 3)
    prices = Prices(np.ones(1000), np.full(1000, 5.0))
    found = FleetSearch(curves, prices, minimum=0, maximum=3, initial=0).plan()
    assert keeps_up(curves, found.fleet)
    assert price(found.fleet, prices, 0) == pytest.approx(found.price)


# The bound against fleets that change at half seconds and serve one request after the other.


def spans(fleet):
    """From when to when each of the maximum's places is taken."""
    places = []
    for place in range(max(fleet)):
        moves = np.diff([size > place for size in fleet], prepend=False, append=False).nonzero()[0] * GRAIN
        places.append(list(zip(moves[::2], moves[1::2], strict=True)))
    return places


def in_time(fleet, arrivals, deadlines, world):
    places = spans(fleet)
    free = [0.0] * len(places)
    for arrival, deadline in zip(arrivals, deadlines, strict=True):
        ends = [
            (max(arrival, free[place], start) + world.service.mean, place)
            for place, taken in enumerate(places)
            for start, end in taken
            if max(arrival, free[place], start) + world.service.mean <= end
        ]
        if not ends or min(ends)[0] > deadline:
            return False
        end, place = min(ends)
        free[place] = end
    return True


def billed(fleet, world):
    """Whoever came first leaves first; the fleet is empty before and after."""
    moves = np.diff(fleet, prepend=0, append=0)
    moments = np.arange(len(moves)) * GRAIN
    lives = np.repeat(moments, np.maximum(-moves, 0)) - np.repeat(moments, np.maximum(moves, 0))
    return float(np.maximum(world.minimum_bill, world.boot.mean + lives).sum())


def few(seed, requests, quarters):
    return np.sort(np.random.default_rng([seed, requests]).integers(0, quarters, requests) / 4)


@pytest.mark.parametrize(("requests", "quarters"), [(1, 9), (3, 9), (5, 9), (8, 9), (8, 3)])
@pytest.mark.parametrize("minimum_bill", [0.0, 25.0])
@pytest.mark.parametrize("boot", [2.0, 20.0])
@pytest.mark.parametrize("seed", range(3))
def test_no_fleet_that_answers_in_time_is_billed_less(seed, boot, minimum_bill, requests, quarters):
    world = model(boot=Fixed(boot), goal=1.0, minimum_bill=minimum_bill)
    arrivals = few(seed, requests, quarters)
    deadlines = np.maximum(arrivals + 1.0, full_fleet.ends(arrivals, np.full(requests, 0.5), world))
    fleets = sorted(itertools.product(range(3), repeat=8), key=lambda fleet: billed(fleet, world))
    cheapest = billed(next(fleet for fleet in fleets if in_time(fleet, arrivals, deadlines, world)), world)
    assert cheapest / 4 <= foreseen(arrivals, 40, world).instance_seconds <= cheapest


def test_some_of_these_loads_are_beyond_the_maximum():
    assert all(foreseen(few(seed, 8, 3), 40, model(goal=1.0)).unavoidable > 0 for seed in range(3))


class Everything:
    name = "everything"
    every = 1.0
    needs_workers = False

    def desired(self, view):
        return view.maximum


@pytest.mark.parametrize("service", [Fixed(0.3), Lognormal(0.4, 0.05, 0.2)])
def test_the_full_fleet_is_as_late_as_in_the_simulated_world(service):
    world = model(service=service, maximum=3, initial=3, concurrency=2)
    arrivals = np.sort(np.random.default_rng(1).uniform(0, 60, 1500))
    run = simulate(arrivals, 60, Everything(), world)
    found = oracle(arrivals, service_times(world, len(arrivals)), 60, world)
    assert 0 < found.unavoidable < 1
    assert found.unavoidable == pytest.approx(run.late_share(world.goal))
    assert found.instance_seconds <= run.billed_seconds


# Loads whose optimum is known.


def test_a_step_needs_as_many_as_it_has_work_for():
    found = foreseen(steady(4, 10, 110), 200, model())
    assert found.billed_seconds == pytest.approx(200 + 2 * 30)
    assert found.instance_seconds == pytest.approx(200 + 2 * 28)
    assert found.launches == 2
    assert found.fleet[20:100].tolist() == [2] * 80
    assert found.kind == "lower bound"


@pytest.mark.parametrize(("gap", "kept"), [(15, True), (25, True), (40, False), (300, False)])
def test_an_instance_is_kept_through_a_gap_that_is_cheaper_than_a_boot(gap, kept):
    found = foreseen(shared(steady(2, 10, 30), steady(2, 30 + gap, 50 + gap)), 400, model())
    assert found.launches == (1 if kept else 2)
    assert found.fleet[30 + gap // 2] == kept


def test_a_backlog_within_the_goal_spares_an_instance():
    burst = shared(steady(1, 10, 60), steady(2, 30, 34))
    assert foreseen(burst, 100, model(goal=4.0)).launches == 1
    assert foreseen(burst, 100, model(goal=1.0)).launches == 2


def test_one_request_is_billed_for_the_shortest_time():
    found = foreseen(np.array([100.5]), 300, model(minimum_bill=60.0))
    assert found.billed_seconds == 60
    assert 58 <= found.instance_seconds <= 60


def test_a_burst_is_billed_for_the_shortest_time_for_each_of_its_instances():
    world = model(minimum_bill=60.0, maximum=20)
    arrivals = np.concatenate([np.full(16, moment) for moment in (100.5, 500.5, 900.5)])
    found = foreseen(arrivals, 1000, world)
    assert found.instance_seconds <= found.billed_seconds
    assert found.instance_seconds >= 0.95 * found.billed_seconds


def test_without_requests_it_costs_nothing():
    found = foreseen(np.empty(0), 100, model())
    assert (found.instance_seconds, found.billed_seconds, found.launches, found.unavoidable) == (0, 0, 0, 0)
    assert found.kind == "exact"
    assert not found.fleet.any()


def test_the_minimum_runs_all_the_time_and_is_not_launched():
    found = foreseen(steady(2, 10, 30), 100, model(minimum=1))
    assert found.instance_seconds == 100
    assert found.launches == 0
    assert found.fleet.tolist() == [1] * 100


@pytest.mark.parametrize(("initial", "launches"), [(0, 1), (1, 0), (2, 0)])
def test_instances_that_are_there_at_the_start_are_not_launched(initial, launches):
    found = foreseen(steady(2, 0, 50), 100, model(initial=initial))
    assert found.launches == launches
    assert found.fleet.max() == 1


def test_of_a_load_beyond_the_maximum_the_full_fleet_does_what_it_can():
    found = foreseen(steady(8, 50, 100), 300, model())
    assert found.unavoidable > 0.9
    assert found.fleet[55:145].tolist() == [2] * 90
    assert found.fleet[160:].tolist() == [0] * 140
    assert found.instance_seconds <= 2 * 30 + 2 * 100


def test_a_peak_within_the_maximum_has_no_late_requests():
    assert foreseen(steady(4, 50, 100), 300, model()).unavoidable == 0


# Parts.


def curves(arrivals, deadlines, seconds):
    service = np.full(len(arrivals), 0.5)
    made = work_curves(np.array(arrivals), service, np.array(deadlines), seconds, model())
    return [(curve / made.units).tolist() for curve in (made.arrived, made.due)]


def test_work_may_be_done_from_its_arrival_and_is_due_after_its_deadline():
    assert curves([0.5, 1.9], [2.5, 3.9], 5) == [[0, 0.5, 1, 1, 1, 1], [0, 0, 0, 0.5, 1, 1]]


def test_no_fleet_does_more_than_the_full_one():
    assert curves([0.5] * 12, [2.5, 4.5] * 6, 5) == [[0, 2, 4, 6, 6, 6], [0, 0, 0, 3, 3, 6]]


@pytest.mark.parametrize("load", [0.5, 0.95, 1.3])
def test_the_full_fleets_ends_are_the_same_by_table_and_by_queue(load):
    rng = np.random.default_rng(1)
    arrivals = np.sort(rng.uniform(0, 100, int(100 * load * 6 / 0.3)))
    service = np.full(len(arrivals), 0.3)
    table = full_fleet._ends_alike(arrivals, 0.3, 6)
    assert table == pytest.approx(full_fleet._ends(arrivals, service, 6))


def test_long_work_alone_makes_a_request_late():
    arrivals, service = np.array([0.0, 10.0, 20.0]), np.array([0.5, 1.5, 0.25])
    assert oracle(arrivals, service, 30, model(maximum=1, goal=1.0)).unavoidable == pytest.approx(1 / 3)


def test_the_first_to_come_is_the_first_to_leave():
    lives = Lifetimes.of(np.array([1, 2, 1, 1, 0]), model(initial=1))
    assert (lives.ready.tolist(), lives.end.tolist()) == ([0, 1], [2, 4])
    assert lives.boot.tolist() == [0, 30]
    assert lives.billed(0) == 2 + 33
    assert lives.billed(10) == 10 + 33


def test_the_bound_holds_with_drawn_service_times():
    world = model(service=Lognormal(0.4, 0.05, 0.2), maximum=4, concurrency=2)
    rng = np.random.default_rng(2)
    arrivals = np.sort(rng.uniform(0, 600, 3000))
    service = world.service.draw(rng, len(arrivals))
    found = oracle(arrivals, service, 600, world)
    assert service.sum() / 2 - 8 <= found.instance_seconds <= found.billed_seconds
    assert found.billed_seconds <= 1.05 * found.instance_seconds
