"""From counts to the moments at which requests arrive."""

import numpy as np

from autoscaler.simulator.run import Seconds
from autoscaler.simulator.trace import Trace


def arrivals(trace: Trace, rng: np.random.Generator, *, exact: bool = False) -> Seconds:
    """Sorted seconds since the trace's start, spread evenly over each bin.

    How many arrive in a bin is drawn from the Poisson distribution whose mean is the bin's count; with ``exact`` it
    is the count itself, rounded.
    """
    counts = np.rint(trace.counts).astype(np.int64) if exact else rng.poisson(trace.counts)
    places = np.repeat(np.arange(len(counts)), counts) + rng.random(int(counts.sum()))
    times = places * trace.bin_seconds
    times.sort()
    return np.minimum(times, np.nextafter(trace.seconds, 0))
