"""The clamps between a policy and the fleet. Pure; each one that bites names itself in the decision's reason."""

import math
from collections.abc import Callable

from msgspec import structs

from autoscaler.ledger import DAY
from autoscaler.observation import DEMAND, EVENTS, QUEUE, Decision, Observation, Spending
from skylens.messages import Struct

NEEDED_FOR_SCALE_IN = frozenset({DEMAND, QUEUE, EVENTS})
"""Without any of these, work may exist that nobody sees: no scale-in."""
_LEAVING = 300.0
"""Seconds that an instance which is to leave is paid for, about: it finishes what it has."""
_ROUNDING = 1e-9


class Limits(Struct, frozen=True, kw_only=True):
    step: int
    """Most instances launched in one decision."""
    scale_in_seconds: float
    """How long fewer must have been enough, without interruption."""
    budget_per_hour: float = 0.0
    """Most dollars an hour that the fleet may cost; 0 for any."""
    budget_per_day: float = 0.0
    """Most dollars from midnight to midnight UTC; 0 for any."""
    minimum_bill: float = 60.0
    """Seconds that an instance is billed for at least."""


class Calm(Struct, frozen=True, kw_only=True):
    """A stretch of time in which fewer instances were enough. ``since``: Unix seconds; ``most``: most wanted in it."""

    since: float
    most: int


def clamp(wanted: Decision, seen: Observation, limits: Limits, calm: Calm | None) -> tuple[Decision, Calm | None]:
    """The decision within the limits, and the calm to pass in next time.

    The clamps come in this order: minimum, maximum, step, the budgets, capacity, stale sources, delay of scale-in. So
    a budget is kept at the cost of the minimum, and the result is never above ``maximum``. A launch never takes the
    whole fleet, those that leave included, above it either.
    """
    desired, names, active = wanted.desired, [wanted.reason], seen.active
    for apply in _CLAMPS:
        desired, name = apply(desired, seen, limits, active)
        if name:
            names.append(name)
    desired, name, calm = _delay(desired, seen, limits, active, calm)
    if name:
        names.append(name)
    return Decision(desired=desired, reason="; ".join(names)), calm


def ceiling(seen: Observation, limits: Limits) -> int:
    """The most instances that these limits would allow now, one launch after the other."""
    unhurried = structs.replace(limits, step=max(limits.step, seen.maximum))
    return clamp(Decision(desired=seen.maximum, reason=""), seen, unhurried, None)[0].desired


def _minimum(desired: int, seen: Observation, _: Limits, __: int) -> tuple[int, str]:
    if desired >= seen.minimum:
        return desired, ""
    return seen.minimum, f"minimum {seen.minimum}"


def _maximum(desired: int, seen: Observation, _: Limits, active: int) -> tuple[int, str]:
    """Leaving instances take room until they are gone, but nobody is made to leave for their sake."""
    leaving = len(seen.workers) - active
    most = min(seen.maximum, max(active, seen.maximum - leaving - seen.unsure))
    if desired <= most:
        return desired, ""
    perhaps = f", {seen.unsure} perhaps launched" if seen.unsure else ""
    return most, f"maximum {seen.maximum}" + (f" with {leaving} leaving" if leaving else "") + perhaps


def _step(desired: int, _: Observation, limits: Limits, active: int) -> tuple[int, str]:
    most = active + limits.step
    return (desired, "") if desired <= most else (most, f"step {limits.step}")


def _per_hour(desired: int, seen: Observation, limits: Limits, active: int) -> tuple[int, str]:
    """Launch only what the budget has room for, and shrink when those that stay cost more than all of it.

    Instances that leave are paid for until they are gone, but nobody else has to leave for them.
    """
    budget = limits.budget_per_hour
    if not budget:
        return desired, ""
    name, spending = f"budget {budget:.2f} $/h", seen.spending
    if spending is None or spending.unpriced:
        return _without_price(desired, active, name, spending)
    staying = spending.hourly * active / len(seen.workers) if active else 0.0
    if staying > budget + _ROUNDING:
        most: float = math.floor(active * budget / staying + _ROUNDING)
    else:
        most = active + max(0, _affordable(budget - spending.hourly, spending.next_hourly) - seen.unsure)
    return (desired, "") if desired <= most else (int(most), name)


def _per_day(desired: int, seen: Observation, limits: Limits, active: int) -> tuple[int, str]:
    """Launch only what the day's budget can pay until it could be let go again, and keep the pay of one.

    One instance until midnight, or half of the budget if that is less, is nobody else's: whoever wants the whole fleet
    all day long has it until only that is left, and it shrinks to one. When nothing is left, it only shrinks.
    """
    budget = limits.budget_per_day
    if not budget:
        return desired, ""
    name, spending = f"budget {budget:.2f} $/day", seen.spending
    if spending is None or spending.unpriced:
        return _without_price(desired, active, name, spending)
    left, each = budget - spending.today, spending.next_hourly
    brief = max(limits.minimum_bill, limits.scale_in_seconds + _LEAVING) / 3600
    spare = left - min(each * _until_midnight(seen.at) / 3600, budget / 2) - spending.hourly * brief
    most: float = min(active, seen.minimum)
    if left > 0:
        alone = min(1, active + max(0, _affordable(left, _bill(spending, limits)) - seen.unsure))
        more = active + max(0, _affordable(spare, each * brief) - seen.unsure) if spare > 0 else 0
        most = max(most, alone, more)
    if not spending.complete and most > active:
        most, name = active, f"{name}: what was spent today is not known yet"
    return (desired, "") if desired <= most else (int(most), name)


def closed(seen: Observation, limits: Limits) -> float:
    """Seconds for which nobody is there, nor may be: the day's budget is spent. 0 otherwise."""
    budget, spending = limits.budget_per_day, seen.spending
    if not budget or spending is None or seen.active:
        return 0.0
    left = budget - spending.today
    return 0.0 if left > 0 and _affordable(left, _bill(spending, limits)) else _until_midnight(seen.at)


def _bill(spending: Spending, limits: Limits) -> float:
    """Dollars that the next instance costs at least."""
    return spending.next_hourly * limits.minimum_bill / 3600


def _until_midnight(at: float) -> float:
    """Seconds, in UTC."""
    return DAY - at % DAY


def _without_price(desired: int, active: int, name: str, spending: Spending | None) -> tuple[int, str]:
    if desired <= active:
        return desired, ""
    return active, f"{name}: no price for {', '.join(spending.unpriced) if spending else 'any instance type'}"


def _affordable(dollars: float, each: float) -> float:
    """How many times ``each`` fits; a whole number, infinity for what costs nothing, 0 when all is spent already."""
    if dollars < -_ROUNDING:
        return 0
    left = max(0.0, dollars)
    return math.floor(left / each + _ROUNDING) if each > left * _ROUNDING else math.inf


def _capacity(desired: int, seen: Observation, _: Limits, active: int) -> tuple[int, str]:
    if desired <= active or not seen.no_capacity:
        return desired, ""
    return active, f"no capacity for {math.ceil(seen.no_capacity)} s more"


def _stale(desired: int, seen: Observation, limits: Limits, active: int) -> tuple[int, str]:
    held, why = _held(seen, limits, active)
    if desired >= held or NEEDED_FOR_SCALE_IN.isdisjoint(seen.stale):
        return desired, ""
    return held, f"no scale-in without {' and '.join(sorted(seen.stale & NEEDED_FOR_SCALE_IN))}{why}"


_CLAMPS: tuple[Callable[[int, Observation, Limits, int], tuple[int, str]], ...] = (
    _minimum,
    _maximum,
    _step,
    _per_hour,
    _per_day,
    _capacity,
    _stale,
)


def _delay(
    desired: int, seen: Observation, limits: Limits, active: int, calm: Calm | None
) -> tuple[int, str, Calm | None]:
    """Hold the fleet until fewer were enough for long; then shrink to the most that was wanted meanwhile."""
    held, why = _held(seen, limits, active)
    if desired >= held:
        return desired, "", None
    if calm and seen.at < calm.since:
        calm = None  # the clock was set back
    calm = Calm(since=calm.since if calm else seen.at, most=max(desired, calm.most if calm else 0))
    waited = seen.at - calm.since
    if waited < limits.scale_in_seconds:
        return held, f"scale-in waits {limits.scale_in_seconds - waited:.0f} s more{why}", calm
    if calm.most >= held:
        return held, f"scale-in starts over: as many were wanted meanwhile{why}", Calm(since=seen.at, most=desired)
    return calm.most, "", None


def _held(seen: Observation, limits: Limits, active: int) -> tuple[int, str]:
    """The fleet as it is, but for what exceeds the maximum or a budget: draining that loses no work."""
    held, why = active, ""
    for apply in (_maximum, _per_hour, _per_day):
        held, name = apply(held, seen, limits, active)
        why = f"; {name}" if name else why
    return held, why
