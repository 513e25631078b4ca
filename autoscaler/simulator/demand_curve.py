"""The work that requests bring, as curves over whole seconds."""

from dataclasses import dataclass

import numpy as np

from autoscaler.simulator.model import Model
from autoscaler.simulator.run import Counts, Seconds

_COLUMNS = 320
"""About as many steps is the widest backlog cut into."""
_FINEST = 32
_ROUNDING = 1e-6


@dataclass(frozen=True)
class WorkCurves:
    """Work at each whole second since the start, in units of which one instance does ``units`` a second."""

    arrived: Counts
    """Most that any fleet within the maximum can have done by then."""
    due: Counts
    """Least that has to be done by then."""
    units: int

    @property
    def slack(self) -> Counts:
        return self.arrived - self.due


def work_curves(arrivals: Seconds, service: Seconds, deadlines: Seconds, seconds: int, model: Model) -> WorkCurves:
    """Between these curves is the work done by any fleet that meets the deadlines, which the full fleet must.

    Work is rounded up to units: done work so rounded still grows by at most ``units`` a second and instance, and
    stays between the curves rounded the same way. So what these curves rule out, the true ones rule out too.
    """
    moments = np.arange(seconds + 1, dtype=np.float64)
    work = service / model.concurrency
    arrived = np.concatenate(([0.0], np.cumsum(work)))[np.searchsorted(arrivals, moments)]
    due_by = np.minimum(np.ceil(deadlines + _ROUNDING), seconds + 1).astype(np.int64)
    full = model.maximum * moments
    possible = np.minimum.accumulate(arrived - full) + full
    due: Seconds = np.minimum(np.cumsum(np.bincount(due_by, work, seconds + 2))[: seconds + 1], possible)
    units = int(np.clip(_COLUMNS / max(float((possible - due).max()), 1.0), 1, _FINEST))
    return WorkCurves(_up(possible * units), _up(due * units), units)


def _up(work: Seconds) -> Counts:
    return np.ceil(work - _ROUNDING).astype(np.int64)


def required(arrivals: Seconds, service: Seconds, seconds: int, model: Model) -> Counts:
    """The demand curve: instances that are needed in each second, be they more than the maximum or not.

    So many are busy when each second's work is spread evenly over that second and those after it that the goal
    allows, whole seconds and at least one.
    """
    window = max(1, int(model.goal))
    work = np.bincount(arrivals.astype(np.int64), service, seconds)[:seconds] / model.concurrency
    total = np.concatenate((np.zeros(window), np.cumsum(work)))
    return _up((total[window:] - total[:-window]) / window)
