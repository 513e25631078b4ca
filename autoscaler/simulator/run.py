"""What came of one simulated run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Series hold one entry for each second of the trace; ``waits`` and ``latencies`` one for each request."""

    policy: str
    arrivals: Counts
    ready: Counts
    """Instances that take work, at the end of each second."""
    fleet: Counts
    """Instances that are not gone, pending and draining ones included: what is paid for."""
    outstanding: Counts
    """Requests accepted and not answered, at the end of each second."""
    waits: Seconds
    """From arrival to the start of work."""
    latencies: Seconds
    """From arrival to the answer."""
    instance_seconds: float
    """From launch to end, summed over all instances."""
    billed_seconds: float
    """The same, each instance at least for the shortest time that EC2 bills."""
    launches: int
    deaths: int = 0

    def late_share(self, goal: float) -> float:
        """Share of requests answered later than ``goal`` seconds after their arrival; 0 without requests."""
        return float(np.mean(self.latencies > goal)) if len(self.latencies) else 0.0

    def cost(self, price: float) -> float:
        """Dollars at ``price`` an hour and instance."""
        return self.billed_seconds / 3600 * price
