"""The cheapest fleet of one who knows all arrivals: what every policy is compared with."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from autoscaler.simulator import full_fleet
from autoscaler.simulator.demand_curve import WorkCurves, work_curves
from autoscaler.simulator.fleet_search import FleetSearch, Plan, Prices
from autoscaler.simulator.lifetimes import Lifetimes
from autoscaler.simulator.model import Model
from autoscaler.simulator.run import Counts, Seconds

_COVER = 2.0
"""Seconds by which whole seconds that cover an instance's time may be longer than it."""
_PASSES = 3
_WORTH = 0.005
"""Share of the bound below which what the shortest bill adds is not sought."""


@dataclass(frozen=True, kw_only=True)
class Oracle:
    instance_seconds: float
    """No fleet that is as good as ``oracle`` says is billed less."""
    kind: Literal["exact", "lower bound"]
    """Whether some fleet is billed just that."""
    unavoidable: float
    """Share of requests that miss the goal even with the full fleet ready all the time."""
    fleet: Counts
    """Ready instances in each second of the plan that is billed least."""
    launches: int
    """Of that plan; instances that are there at the start are not launched."""
    billed_seconds: float
    """Of that plan. How far it is above the bound says how tight the bound is."""


def oracle(arrivals: Seconds, service: Seconds, seconds: int, model: Model) -> Oracle:
    """A lower bound on the billed instance-seconds, proven for boots of the mean length, and a plan close to it.

    ``arrivals``: sorted seconds; ``service``: each request's seconds of work; ``seconds``: the trace's length.
    The bound is on all fleets that answer every request within the goal or, where the maximum does not allow that, as
    soon as the full fleet would.

    It is the optimum of a relaxation. Work is a fluid that all instances share in, compared with its deadlines at
    whole seconds. Instances come and go at whole seconds, which cover the true times: a launch is therefore charged
    ``_COVER`` seconds less than its boot. Every boot takes the mean, and may begin before the trace does: where boots
    are drawn, the bound is on fleets whose boots take as long on average, not on one with lucky draws. That an
    instance is billed for a shortest time is the constraint that in no second fewer run than were launched so lately;
    it is priced in by Lagrange multipliers, and by weak duality any multipliers give a bound (Convex
    Optimization, 5.1.3, Cambridge University Press). For boots under two seconds the bound is on fleets that change at
    whole seconds.

    The plan keeps up with the fluid; single requests may be up to a second later.
    """
    ends = full_fleet.ends(arrivals, service, model)
    goals = arrivals + model.goal
    curves = work_curves(arrivals, service, np.maximum(goals, ends), seconds, model)
    bound, plan = _best(curves, seconds, model)
    lives = Lifetimes.of(plan, model)
    return Oracle(
        instance_seconds=bound,
        kind="lower bound" if len(arrivals) else "exact",
        unavoidable=float(np.mean(ends - arrivals > model.goal)) if len(arrivals) else 0.0,
        fleet=plan,
        launches=lives.launches,
        billed_seconds=lives.billed(model.minimum_bill),
    )


def _best(curves: WorkCurves, seconds: int, model: Model) -> tuple[float, Counts]:
    """The highest bound and the plan billed least of a few rounds of a subgradient method."""
    launch = max(model.boot.mean - _COVER, 0.0)
    held = max(0, int(model.minimum_bill - launch))
    weights, bound, plans = np.zeros(seconds), 0.0, []
    for number in range(1, _PASSES + 1):
        found = _search(curves, _prices(weights, launch, held), model)
        lives = Lifetimes.of(found.fleet, model)
        plans.append((lives.billed(model.minimum_bill), number, found.fleet))
        bound = max(bound, found.price)
        if lives.billed(model.minimum_bill) - lives.billed(0.0) <= _WORTH * bound:
            break
        weights = np.minimum(weights + _left_early(found.fleet, held, model) / number, 1.0)
    return bound, min(plans)[2]


def _search(curves: WorkCurves, prices: Prices, model: Model) -> Plan:
    initial = max(model.initial, model.minimum)
    return FleetSearch(curves, prices, minimum=model.minimum, maximum=model.maximum, initial=initial).plan()


def _prices(weights: Seconds, launch: float, held: int) -> Prices:
    """A launch pays ``weights`` for the seconds in which it is held, and running earns it back."""
    total = np.concatenate(([0.0], np.cumsum(weights)))
    seconds = np.arange(len(weights))
    return Prices(1.0 - weights, launch + total[np.minimum(seconds + held, len(weights))] - total[seconds])


def _left_early(fleet: Counts, held: int, model: Model) -> Seconds:
    """1 in the seconds in which fewer instances run than were launched within ``held`` seconds."""
    rises = np.maximum(np.diff(fleet, prepend=max(model.initial, model.minimum)), 0)
    total = np.concatenate(([0], np.cumsum(rises)))
    until = np.arange(1, len(fleet) + 1)
    return (total[until] - total[np.maximum(until - held, 0)] > fleet).astype(np.float64)
