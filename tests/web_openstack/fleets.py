"""Fleets as the autoscaler reports them."""

from skylens.messages import FleetReport, Worker


def report(states, **changes):
    workers = tuple(Worker(instance=f"i-{n}", state=state, age=1) for n, state in enumerate(states))
    fields = {"at": 0, "policy": "greedy", "desired": 1, "minimum": 0, "maximum": 20, "reason": "", "boot_seconds": 120}
    return FleetReport(workers=workers, slots=4, **fields | changes)
