"""What the largest fleet can do."""

import heapq

import numpy as np

from autoscaler.simulator.model import Model
from autoscaler.simulator.run import Seconds


def ends(arrivals: Seconds, service: Seconds, model: Model) -> Seconds:
    """When each request is answered if all instances are ready all the time; first come, first served."""
    slots = model.maximum * model.concurrency
    if len(arrivals) and bool((service == service[0]).all()):
        return _ends_alike(arrivals, float(service[0]), slots)
    return _ends(arrivals, service, slots)


def _ends(arrivals: Seconds, service: Seconds, slots: int) -> Seconds:
    free = [0.0] * slots
    ends = []
    for arrival, work in zip(arrivals.tolist(), service.tolist(), strict=True):
        end = max(arrival, free[0]) + work
        heapq.heapreplace(free, end)
        ends.append(end)
    return np.array(ends)


def _ends_alike(arrivals: Seconds, work: float, slots: int) -> Seconds:
    """With equal work each slot gets every ``slots``-th request, and its ends are a running maximum."""
    turns = -(-len(arrivals) // slots)
    table = np.full(turns * slots, np.inf)
    table[: len(arrivals)] = arrivals
    spent = work * np.arange(turns)[:, None]
    ends: Seconds = np.maximum.accumulate(table.reshape(turns, slots) - spent, axis=0) + spent + work
    return ends.ravel()[: len(arrivals)]
