import numpy as np
import pytest

from autoscaler.limits import Limits
from autoscaler.observation import Decision
from autoscaler.simulator.distributions import Fixed
from autoscaler.simulator.model import Model
from autoscaler.simulator.ours import Ours
from autoscaler.simulator.view import View
from autoscaler.simulator.world import simulate
from skylens.messages import Worker


class Wanting:
    """A policy that wants what it was told, one after the other, and keeps what it saw."""

    def __init__(self, *wanted):
        self.wanted, self.seen = wanted, []

    def decide(self, seen):
        self.seen.append(seen)
        return Decision(desired=self.wanted[min(len(self.seen), len(self.wanted)) - 1], reason="told to")


def view(**changes):
    return View(**({"now": 7.0, "concurrency": 2, "minimum": 0, "maximum": 20, "sqs_lag": 3.0} | changes))


def ours(*wanted, step=20, scale_in_seconds=0.0, **options):
    return Ours(Wanting(*wanted), Limits(step=step, scale_in_seconds=scale_in_seconds), "ours", **options)


def test_a_policy_sees_what_the_signals_would_show():
    workers = (Worker(instance="1", state="busy", age=5.0, in_flight=1),)
    seen = ours(start=1000.0).observe(
        view(
            ready=1,
            waiting=4,
            in_flight=1,
            oldest=2.5,
            service_seconds=0.3,
            boot_seconds=33.0,
            arrivals=list(range(200)),
            completions=list(range(1, 201)),
            waiting_each_second=[9, 8, 7, 6, 5],
            in_flight_each_second=[1, 2, 2, 1, 1],
            workers=workers,
        )
    )
    assert (seen.at, seen.outstanding, seen.oldest, seen.slots) == (1007.0, 5, 2.5, 2)
    assert (seen.service_seconds, seen.boot_seconds) == (0.3, 33.0)
    assert (seen.minimum, seen.maximum, seen.workers) == (0, 20, workers)
    assert seen.arrivals == tuple(range(81, 200))
    assert seen.completions == tuple(range(82, 201))
    assert seen.queue == (7, 2)
    assert not seen.stale
    assert set(seen.ages) == {"demand", "queue", "instances", "events", "cpu", "boots", "service"}


def test_the_expected_boot_stands_in_until_one_was_measured():
    seen = ours(boot_seconds=60.0).observe(view())
    assert seen.boot_seconds == 60.0
    assert not seen.ages.keys() & {"boots", "service"}


@pytest.mark.parametrize(
    ("ready", "in_flight", "cpu"),
    [(0, [3], None), (2, [], 0.0), (2, [4, 4, 4, 4, 4, 4], 100.0), (2, [9, 0, 1, 2, 3, 4], 50.0), (1, [9], 100.0)],
)
def test_the_cpu_is_the_share_of_busy_slots_over_the_last_heartbeat(ready, in_flight, cpu):
    assert ours().observe(view(ready=ready, in_flight_each_second=in_flight)).cpu == cpu


@pytest.mark.parametrize(("lag", "shown"), [(0.0, 4), (1.0, 3), (3.0, 1), (4.0, 0), (60.0, 0)])
def test_counts_of_sqs_are_as_old_as_its_lag(lag, shown):
    late = view(sqs_lag=lag, waiting=4, in_flight=4, waiting_each_second=[1, 2, 3], in_flight_each_second=[1, 2, 3])
    assert (late.sqs_waiting(), late.sqs_in_flight()) == (shown, shown)


def fleet(*wanted, seconds=10.0, **options):
    model = Model(boot=Fixed(0.0), maximum=8)
    return simulate(np.empty(0), seconds, ours(*wanted, **options), model).fleet.tolist()


def test_the_limits_clamp_the_step_and_the_maximum():
    assert fleet(20, step=3)[:4] == [3, 6, 8, 8]


def test_fewer_must_have_been_enough_for_the_scale_in_delay():
    assert fleet(4, 1, 2, 1, scale_in_seconds=3.0)[:9] == [4, 4, 4, 4, 2, 2, 2, 2, 1]


def test_instances_of_a_policy_that_never_drains_leave_after_the_idle_timeout():
    class Deficit:
        def decide(self, seen):
            return Decision(desired=max(seen.active, 3 * (seen.at == 100.0)), reason="")

    scaler = Ours(Deficit(), Limits(step=20, scale_in_seconds=0), "d", start=100.0, idle_timeout=4.0, resident=1)
    told = simulate(np.empty(0), 8.0, scaler, Model(boot=Fixed(0.0)))
    assert told.fleet.tolist() == [3, 3, 3, 1, 1, 1, 1, 1]
    assert told.policy == "d"
