"""The clamps between a policy and the fleet. Pure; each one that bites names itself in the decision's reason."""

from collections.abc import Callable

from autoscaler.observation import DEMAND, EVENTS, QUEUE, Decision, Observation
from skylens.messages import Struct

NEEDED_FOR_SCALE_IN = frozenset({DEMAND, QUEUE, EVENTS})
"""Without any of these, work may exist that nobody sees: no scale-in."""


class Limits(Struct, frozen=True, kw_only=True):
    step: int
    """Most instances launched in one decision."""
    scale_in_seconds: float
    """How long fewer must have been enough, without interruption."""


class Calm(Struct, frozen=True, kw_only=True):
    """A stretch of time in which fewer instances were enough. ``since``: Unix seconds; ``most``: most wanted in it."""

    since: float
    most: int


def clamp(wanted: Decision, seen: Observation, limits: Limits, calm: Calm | None) -> tuple[Decision, Calm | None]:
    """The decision within the limits, and the calm to pass in next time.

    The result is never above ``maximum`` less what is leaving, unless as many are active already.
    """
    desired, names = wanted.desired, []
    for apply in _CLAMPS:
        desired, name = apply(desired, seen, limits)
        names.append(name)
    desired, name, calm = _delay(desired, seen, limits, calm)
    reason = "; ".join([wanted.reason, *filter(None, [*names, name])])
    return Decision(desired=desired, reason=reason), calm


def _minimum(desired: int, seen: Observation, _: Limits) -> tuple[int, str]:
    if desired >= seen.minimum:
        return desired, ""
    return seen.minimum, f"minimum {seen.minimum}"


def _step(desired: int, seen: Observation, limits: Limits) -> tuple[int, str]:
    most = seen.active + limits.step
    return (desired, "") if desired <= most else (most, f"step {limits.step}")


def _maximum(desired: int, seen: Observation, _: Limits) -> tuple[int, str]:
    """Leaving instances take room until they are gone, but nobody is made to leave for their sake."""
    most = min(seen.maximum, max(seen.active, seen.maximum - seen.leaving))
    if desired <= most:
        return desired, ""
    return most, f"maximum {seen.maximum}" + (f" with {seen.leaving} leaving" if seen.leaving else "")


def _stale(desired: int, seen: Observation, _: Limits) -> tuple[int, str]:
    unknown = sorted(seen.stale & NEEDED_FOR_SCALE_IN)
    if desired >= seen.active or not unknown:
        return desired, ""
    return seen.active, f"no scale-in without {' and '.join(unknown)}"


_CLAMPS: tuple[Callable[[int, Observation, Limits], tuple[int, str]], ...] = (_minimum, _maximum, _step, _stale)


def _delay(desired: int, seen: Observation, limits: Limits, calm: Calm | None) -> tuple[int, str, Calm | None]:
    """Hold the fleet until fewer were enough for long; then shrink to the most that was wanted meanwhile."""
    if desired >= seen.active:
        return desired, "", None
    calm = Calm(since=calm.since if calm else seen.at, most=max(desired, calm.most if calm else 0))
    waited = seen.at - calm.since
    if waited < limits.scale_in_seconds:
        return seen.active, f"scale-in waits {limits.scale_in_seconds - waited:.0f} s more", calm
    if calm.most >= seen.active:
        return seen.active, "scale-in starts over: as many were wanted meanwhile", Calm(since=seen.at, most=desired)
    return calm.most, "", None
