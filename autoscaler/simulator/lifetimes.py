"""When the instances of a planned fleet come and go."""

from dataclasses import dataclass

import numpy as np

from autoscaler.simulator.model import Model
from autoscaler.simulator.run import Counts, Seconds


@dataclass(frozen=True)
class Lifetimes:
    """One entry for each instance, in seconds. Whoever came first leaves first: no order is billed less."""

    ready: Counts
    end: Counts
    boot: Seconds
    """Before it was ready; none for those that are there at the start."""

    @classmethod
    def of(cls, fleet: Counts, model: Model) -> "Lifetimes":
        """``fleet``: ready instances in each second. Every boot takes its mean."""
        initial = max(model.initial, model.minimum)
        changes = np.diff(fleet, prepend=initial, append=0)
        seconds = np.arange(len(changes))
        ready = np.concatenate((np.zeros(initial, np.int64), np.repeat(seconds, np.maximum(changes, 0))))
        boot = np.where(np.arange(len(ready)) < initial, 0.0, model.boot.mean)
        return cls(ready, np.repeat(seconds, np.maximum(-changes, 0)), boot)

    @property
    def launches(self) -> int:
        return int((self.boot > 0).sum())

    def billed(self, least: float) -> float:
        """Instance-seconds from launch to end, each instance for at least ``least`` seconds."""
        return float(np.maximum(least, self.boot + self.end - self.ready).sum())
