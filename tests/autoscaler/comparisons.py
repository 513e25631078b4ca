"""Short ways to write what came of a simulation."""

import numpy as np

from autoscaler.simulator.compare import Row
from autoscaler.simulator.run import Run


def row(policy="greedy", **numbers):
    made = {
        "instance_hours": 10.0,
        "cost": 1.0,
        "late": 0.0,
        "mean_wait": 0.1,
        "p95_wait": 0.5,
        "p99_wait": 1.0,
        "launches": 7,
        "theta_u": 10.0,
        "theta_o": 20.0,
        "tau_u": 30.0,
        "tau_o": 40.0,
        "instability": 50.0,
        "ratio": 1.2,
    }
    return Row(policy=policy, **(made | numbers))


def run(policy="greedy", seconds=100, **series):
    """A run of a flat fleet; ``series`` replace what is given."""
    flat = np.full(seconds, 2)
    made = {
        "arrivals": flat,
        "ready": flat,
        "fleet": flat,
        "outstanding": flat,
        "waits": np.empty(0),
        "latencies": np.empty(0),
        "instance_seconds": 2.0 * seconds,
        "billed_seconds": 2.0 * seconds,
        "launches": 2,
    }
    return Run(policy=policy, **(made | series))
