"""How cautious ``foresight`` is: which quantile of its forecast it makes the fleet for."""

import math

TARGET = 0.005
"""Share of late images that is aimed at: half of the one in a hundred that is promised."""
GAIN = 0.01
"""How much one second of late arrivals changes the caution."""
LEAST, MOST = -math.log(1 - 0.7), -math.log(1 - 0.98)
"""Caution at the quantiles 0.7 and 0.98. Above, a dozen errors of the last hour decide: dear, and of little help."""
SURGE = 3.0
"""Most that one second may count, in seconds of usual traffic."""


class Caution:
    """Holds the share of late images at its target: each late second moves the quantile up, each other one down a bit.

    The quantile is ``1 - exp(-level)``, so a step up or down scales the share of misses that is accepted.
    Source: "Adaptive Conformal Inference Under Distribution Shift", NeurIPS 2021, with the level in logarithms.
    """

    def __init__(self, quantile: float) -> None:
        self.resume(-math.log(1 - quantile))

    def resume(self, level: float) -> None:
        """Go on from a level, within the bounds."""
        self.level = min(MOST, max(LEAST, level))

    @property
    def quantile(self) -> float:
        return 1 - math.exp(-self.level)

    def see(self, *, late: bool, weight: float) -> None:
        """One second. ``weight``: its arrivals in proportion to the usual ones."""
        step = GAIN * (late - TARGET) * min(weight, SURGE)
        self.level = min(MOST, max(LEAST, self.level + step))
