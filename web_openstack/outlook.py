"""How long an image taken in now would wait, and how many may wait: from what is unanswered and the fleet. Pure."""

from typing import NamedTuple

from skylens.messages import Demand, FleetReport

RECENT = 50
"""So many replies tell how long an image takes now: under load, each takes longer than the one before."""
ASSUMED_BOOT, ASSUMED_SERVICE, ASSUMED_SLOTS = 120.0, 0.25, 4
"""What is assumed of a fleet nobody reported: one instance that boots in 120 s and takes 4 images at 0.25 s each."""


class Outlook(NamedTuple):
    wait: float
    """Seconds until an image taken in now would be answered, through a boot if there is one."""
    starts: float
    """Seconds until the fleet answers anything: what is left of a boot while no instance is ready."""
    rate: float
    """Images a second that the fleet answers once it is as large as it may get."""
    backlog: int
    """Unanswered images of all web nodes."""
    slots: int
    """Images that one instance takes at once."""
    nodes: int
    """Web nodes that share the fleet."""
    closed: float = 0.0
    """Seconds until there may be an instance again; 0: there is one, or may be."""

    def room(self, longest: float, own: int) -> float:
        """How many images may be unanswered at this web node, so that none waits for more than ``longest`` seconds.

        ``own``: those that are. None while nobody will be there for longer. A boot does not count: who comes while the
        fleet may grow waits through it. What one instance takes at once is never refused: an idle service learns its
        service time only by working. What the other nodes have is theirs, but as the nodes share the fleet, an equal
        part of it is always this one's.
        """
        if self.closed > longest:
            return 0.0
        whole = max(self.rate * longest, self.slots)
        return max(whole - (self.backlog - own), whole / self.nodes)


def outlook(demand: Demand, fleet: FleetReport | None) -> Outlook:
    """What the fleet as reported makes of the backlog.

    It drains at ``ready * slots / service`` images a second (Little's law), and at the rate of the fleet as large as it
    may get once instances launched now have booted.
    """
    times = demand.service_times[-RECENT:]
    service = sum(times) / len(times) if times else ASSUMED_SERVICE
    slots = fleet.slots if fleet and fleet.slots else ASSUMED_SLOTS
    boot = fleet.closed + fleet.boot_seconds if fleet else ASSUMED_BOOT
    ready = sum(worker.state in {"ready", "busy", "idle"} for worker in fleet.workers) if fleet else 0
    largest = max(_largest(fleet), ready, 1)
    per_instance = slots / max(service, 0.001)
    backlog = max(demand.outstanding, fleet.outstanding if fleet else 0)
    waits, drained_by_ready = backlog + 1, ready * per_instance * boot
    if waits <= drained_by_ready:
        wait = waits / (ready * per_instance)
    else:
        wait = boot + (waits - drained_by_ready) / (largest * per_instance)
    nodes = max(fleet.nodes if fleet else 1, 1)
    closed = fleet.closed if fleet else 0.0
    return Outlook(wait, _starts(fleet, ready), largest * per_instance, backlog, slots, nodes, closed)


def _starts(fleet: FleetReport | None, ready: int) -> float:
    if ready or fleet is None:
        return 0.0
    return fleet.closed + max(0.0, fleet.boot_seconds - max((worker.age for worker in fleet.workers), default=0.0))


def _largest(fleet: FleetReport | None) -> int:
    """Instances that there may be, as far as the autoscaler knows now."""
    if fleet is None:
        return 1
    return fleet.maximum if fleet.ceiling is None else min(fleet.ceiling, fleet.maximum)
