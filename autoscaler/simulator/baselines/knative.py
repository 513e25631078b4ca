"""The Knative Pod Autoscaler (KPA) on concurrency."""

import math

from autoscaler.simulator.baselines.window import Window
from autoscaler.simulator.model import Model
from autoscaler.simulator.view import View

TICK = 2.0
"""Seconds between two decisions. knative/serving, pkg/autoscaler/scaling/multiscaler.go: tickInterval."""
REPORT = 1.0
"""Seconds between two reports of the concurrency. pkg/activator/handler/concurrency_reporter.go: reportInterval;
pkg/autoscaler/metrics/collector.go: scrapeTickInterval."""
STABLE_WINDOW = 60
"""Seconds. This and all below: config/core/configmaps/autoscaler.yaml, stable-window."""
PANIC_WINDOW = 6
"""Seconds: panic-window-percentage, 10 % of the stable window."""
PANIC_THRESHOLD = 2.0
"""panic-threshold-percentage: wanted over ready pods."""
UTILISATION = 0.7
"""container-concurrency-target-percentage."""
UP_RATE = 1000.0
"""max-scale-up-rate, over the ready pods."""
DOWN_RATE = 2.0
"""max-scale-down-rate."""
BURST = 211
"""target-burst-capacity: with less spare concurrency than this, requests pass through the activator."""
GRACE = 30.0
"""scale-to-zero-grace-period: seconds behind the activator before the last pod goes."""


class Knative:
    """Stable mode follows the mean of 60 seconds; panic mode that of 6, and never scales in.

    Source: knative/serving, pkg/autoscaler/scaling/autoscaler.go (Scale), pkg/reconciler/autoscaling/kpa/scaler.go
    (handleScaleToZero). The target is 70 % of the containerConcurrency, set to what an instance works on at once; the
    concurrency counts waiting and running requests, live. A first request at zero is decided on at once
    (MultiScaler.Poke), here within a second.

    Simplified: the concurrency of a second is that at its end, not its mean; a revision that failed to start is not
    given up.
    """

    name = "knative"
    every = REPORT
    needs_workers = False

    def __init__(self, model: Model) -> None:
        self._model = model
        self._target = UTILISATION * model.concurrency
        self._stable, self._panic = Window(STABLE_WINDOW), Window(PANIC_WINDOW)
        self._replicas = self._wanted = model.initial
        self._panicked = 0.0 if model.initial > 1 else None
        """When last over the threshold; None in stable mode. It starts in panic mode with more than one pod."""
        self._most = model.initial
        """Highest want since the panic began."""
        self._active_since: float | None = None
        self._proxied_since: float | None = None

    def desired(self, view: View) -> int:
        concurrency = view.waiting + view.in_flight
        if concurrency or view.ready:
            second = int(view.now)
            self._stable.record(second, concurrency)
            self._panic.record(second, concurrency)
        poked = not self._wanted and concurrency
        if poked or view.now % TICK == 0:
            self._tick(view)
        return self._replicas

    def _tick(self, view: View) -> None:
        second = int(view.now)
        if self._stable.is_empty(second):
            return
        panic = self._panic.mean(second)
        self._wanted = self._scale(self._stable.mean(second), panic, max(1, view.ready), view.now)
        self._note_paths(view, panic)
        self._apply(min(max(self._wanted, self._model.minimum), self._model.maximum), view.now)

    def _scale(self, stable: float, panic: float, ready: int, now: float) -> int:
        by_panic = math.ceil(panic / self._target)
        self._note_panic(over=by_panic / ready >= PANIC_THRESHOLD, now=now)
        wanted = _bounded(math.ceil(stable / self._target), ready)
        if self._panicked is None:
            return wanted
        self._most = max(self._most, wanted, _bounded(by_panic, ready))
        return self._most

    def _note_panic(self, *, over: bool, now: float) -> None:
        if over:
            self._panicked = now
        elif self._panicked is not None and now - self._panicked > STABLE_WINDOW:
            self._panicked, self._most = None, 0

    def _note_paths(self, view: View, panic: float) -> None:
        """Since when the revision is active, and since when the activator is in the path of its requests."""
        if not view.ready:
            self._active_since = None
        elif self._active_since is None:
            self._active_since = view.now
        spare = math.floor(view.ready * self._model.concurrency - BURST - panic)
        if spare >= 0 and self._wanted:
            self._proxied_since = None
        elif self._proxied_since is None:
            self._proxied_since = view.now

    def _apply(self, wanted: int, now: float) -> None:
        """To zero only once active for the stable window and proxied for the grace period."""
        if wanted or not self._replicas:
            self._replicas = wanted
        elif self._active_since is None:
            return
        elif now - self._active_since < STABLE_WINDOW:
            self._replicas = 1
        elif self._proxied_since is not None and now - self._proxied_since >= GRACE:
            self._replicas = 0


def _bounded(wanted: int, ready: int) -> int:
    return min(max(wanted, math.floor(ready / DOWN_RATE)), math.ceil(ready * UP_RATE))
