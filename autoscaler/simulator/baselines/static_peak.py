"""A fleet provisioned for the peak, never scaled."""

import math

from autoscaler.simulator.model import Model
from autoscaler.simulator.view import View


class StaticPeak:
    """Always as many instances as the busiest bin's requests keep fully busy, within the model's limits."""

    name = "static_peak"
    every = 60.0
    needs_workers = False

    def __init__(self, model: Model, peak: float) -> None:
        """``peak``: requests per second in the busiest bin."""
        needed = math.ceil(round(peak * model.service.mean / model.concurrency, 6))
        self._instances = min(max(needed, model.minimum), model.maximum)

    def desired(self, view: View) -> int:
        del view
        return self._instances
