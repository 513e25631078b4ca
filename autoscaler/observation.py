"""What a policy may see, and what it answers: plain data, no I/O."""

import msgspec

from skylens.messages import Struct, Worker
from skylens.queues import Counts

LEAVING = ("draining", "stopping")
ABLE = ("ready", "busy", "idle")
RATE_SECONDS = 10

DEMAND = "demand"
"""Source of ``outstanding``, ``oldest``, ``arrivals`` and ``completions``: the web nodes."""
QUEUE = "queue"
"""Source of ``queue``: SQS's counts."""
INSTANCES = "instances"
"""Source of ``workers``: EC2."""
NODES = "nodes"
"""Source of the list of web nodes: Nova. When it is silent, ``demand`` goes on with the nodes known last."""
EVENTS = "events"
"""Source of the workers' ``in_flight``, ``done``, busy or idle, and ``slots``: the events queue."""
CPU = "cpu"
"""Source of ``cpu``: the workers' events, or CloudWatch."""
BOOTS = "boots"
"""Source of ``boot_seconds``: launches of the past. Never stale, but without an age it is the operator's guess."""
SERVICE = "service"
"""Source of ``service_seconds``: images of the past. Never stale, but without an age there was none."""


class Spending(Struct, frozen=True, kw_only=True):
    """Dollars, as the price table tells them."""

    hourly: float
    """Per hour, of all instances that are not gone."""
    today: float
    """Since midnight UTC."""
    next_hourly: float
    """Per hour, of one more instance."""
    unpriced: tuple[str, ...] = ()
    """Instance types in use, or next to be launched, whose price is not known; the sums are without them."""
    complete: bool = True
    """Whether ``today`` has what earlier autoscalers spent; not so while S3 does not give it out."""


class Observation(Struct, frozen=True, kw_only=True):
    """The system at one moment. What a silent source should have told is its last known value, and named stale."""

    at: float
    """Unix seconds."""
    outstanding: int
    """Accepted and not yet answered images."""
    oldest: float
    """Age in seconds of the oldest outstanding image."""
    arrivals: tuple[int, ...]
    """Images accepted in each of the last whole seconds, over all web nodes, latest last."""
    completions: tuple[int, ...]
    """Images answered, aligned with ``arrivals``."""
    queue: Counts | None
    """SQS's own counts of the requests queue; None until read once."""
    workers: tuple[Worker, ...]
    """Every instance that is not gone."""
    minimum: int
    maximum: int
    slots: int
    """Images one worker takes at once, as told last; 4 until one told."""
    boot_seconds: float
    """Expected seconds from launch call to a ready worker; as set until one was measured, which ``ages`` tells."""
    service_seconds: float
    """Mean seconds of work per image; 0 until measured."""
    nodes: int = 1
    """Web nodes that are asked."""
    cpu: float | None = None
    """Mean percent of their processors that the able workers use; None until told, and of none."""
    no_capacity: float = 0.0
    """Seconds until EC2 is asked for capacity again; 0 when some place is open."""
    unsure: int = 0
    """Instances that EC2 may have launched without saying so, and does not show yet: room is kept for them."""
    spending: Spending | None = None
    """None where nobody adds up."""
    stale: frozenset[str] = frozenset()
    """Sources (the constants above) that did not answer."""
    ages: dict[str, float] = msgspec.field(default_factory=dict)
    """Seconds since each source last answered; one that never did is missing."""

    def count(self, *states: str) -> int:
        return sum(worker.state in states for worker in self.workers)

    @property
    def leaving(self) -> int:
        """Instances that take no more work but still count against the maximum."""
        return self.count(*LEAVING)

    @property
    def active(self) -> int:
        """Instances that work or will: what ``Decision.desired`` is compared with."""
        return len(self.workers) - self.leaving

    @property
    def in_flight(self) -> int:
        return sum(worker.in_flight for worker in self.workers)

    @property
    def arrival_rate(self) -> float:
        """Images per second accepted in the last ``RATE_SECONDS``."""
        return sum(self.arrivals[-RATE_SECONDS:]) / RATE_SECONDS


class Decision(Struct, frozen=True, kw_only=True):
    """How many active instances there should be, and why, in words for an operator."""

    desired: int
    reason: str
