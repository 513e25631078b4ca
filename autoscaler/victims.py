"""Which instances are to leave when fewer are needed. Pure; to leave means to be tagged as draining, never killed."""

from collections.abc import Iterable

from skylens.messages import Worker

_ORDER = {"idle": 0, "pending": 1, "booting": 1, "busy": 2, "ready": 3}
"""Idle first, then those that do not work yet, then busy ones, last the silent ones, whose work is unknown."""


def choose(workers: Iterable[Worker], count: int) -> list[str]:
    """Up to ``count`` instance ids, those with the least to lose first.

    Ones that are leaving already, or have no id yet, are passed over.
    """
    able = sorted((worker for worker in workers if worker.instance and worker.state in _ORDER), key=_cost)
    return [worker.instance for worker in able[:count]]


def _cost(worker: Worker) -> tuple[int, int, float]:
    """Among equals: least in flight; then the youngest of those still coming up, else the oldest."""
    coming = worker.state in {"pending", "booting"}
    return _ORDER[worker.state], worker.in_flight, worker.age if coming else -worker.age
