"""Ray Serve's request-based autoscaling."""

import math

from autoscaler.simulator.model import Model
from autoscaler.simulator.view import View

CONTROL_LOOP = 1.0
"""Seconds between two decisions; Ray's are 0.1 (ray, python/ray/serve/_private/constants.py:
CONTROL_LOOP_INTERVAL_S), with delays that are counted in seconds here."""
METRICS_INTERVAL = 10.0
"""Seconds between two reports of the ongoing requests. python/ray/serve/config.py, AutoscalingConfig:
metrics_interval_s. The following are of the same class."""
LOOK_BACK = 30
"""look_back_period_s: seconds over which a report averages."""
UPSCALE_DELAY = 30.0
"""upscale_delay_s."""
DOWNSCALE_DELAY = 600.0
"""downscale_delay_s; downscale_to_zero_delay_s is the same unless set."""


class RayServe:
    """As many replicas as the mean of the ongoing requests needs, once that was wanted for the whole delay.

    ``ceil(ongoing / target_ongoing_requests)`` with a gain (upscaling_factor, downscaling_factor) of 1; any request
    turns 0 into 1 without a delay, and only 1 becomes 0. Source: ray, python/ray/serve/autoscaling_policy.py
    (_core_replica_queue_length_policy, _apply_delay_logic, _get_cold_start_scale_up_replicas).
    target_ongoing_requests is what an instance works on at once; Ray's default is 2. The guide asks for
    max_ongoing_requests of 20 to 50 % more, which would make requests wait at a replica. min_replicas, 1 by default,
    is the model's minimum.

    Simplified: requests wait in the one queue of the world; the averages are of whole seconds; a report without any
    running replica is sent as soon as something waits (Router: should_send_scaled_to_zero_optimized_push).
    """

    name = "ray_serve"
    every = CONTROL_LOOP
    needs_workers = False

    def __init__(self, model: Model) -> None:
        self._model = model
        self._target = model.initial
        self._ongoing = 0.0
        self._reported: float | None = None
        self._direction = 0
        self._since = 0.0
        """When the present direction was first wanted."""

    def desired(self, view: View) -> int:
        waking = not view.ready and view.waiting
        if waking or self._reported is None or view.now - self._reported >= METRICS_INTERVAL:
            self._report(view, waking=bool(waking))
        if view.ready:
            self._follow(math.ceil(self._ongoing / self._model.concurrency), view.now)
        elif self._ongoing:
            self._target = max(1, self._target)
        self._target = self._bounded(self._target)
        return self._target

    def _report(self, view: View, *, waking: bool) -> None:
        if not waking:
            self._reported = view.now
        waiting = view.waiting_each_second[-LOOK_BACK:] or [view.waiting]
        running = view.in_flight_each_second[-LOOK_BACK:] or [view.in_flight]
        self._ongoing = (sum(waiting) + sum(running)) / len(waiting)

    def _follow(self, wanted: int, now: float) -> None:
        wanted = self._bounded(wanted)
        if wanted < self._target and self._target > 1:
            wanted = max(1, wanted)
        direction = (wanted > self._target) - (wanted < self._target)
        if direction != self._direction:
            self._direction, self._since = direction, now
        if direction and now - self._since >= (UPSCALE_DELAY if direction > 0 else DOWNSCALE_DELAY):
            self._target, self._direction = wanted, 0

    def _bounded(self, replicas: int) -> int:
        return min(max(replicas, self._model.minimum), self._model.maximum)
