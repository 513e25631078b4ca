"""The Kubernetes Horizontal Pod Autoscaler on one external metric with an AverageValue target."""

import math
from collections import deque

SYNC = 15.0
"""Seconds between two decisions. kubernetes, podautoscaler/config/v1alpha1/defaults.go:
HorizontalPodAutoscalerSyncPeriod."""
TOLERANCE = 0.1
"""Relative deviation from the target that changes nothing. Same file: HorizontalPodAutoscalerTolerance."""
STABILISATION = 300.0
"""Seconds whose highest recommendation holds. Same file: HorizontalPodAutoscalerDownscaleStabilizationWindow."""
UP_FACTOR = 2
UP_LEAST = 4
"""One decision ends at most at the larger of ``UP_FACTOR`` times the replicas and ``UP_LEAST``. kubernetes,
podautoscaler/horizontal.go: scaleUpLimitFactor, scaleUpLimitMinimum. They hold for an HPA without ``behavior``, which
is what KEDA creates by default; the API's default ``behavior`` (4 pods or 100 % in 15 seconds) applies only once some
``behavior`` is set. Scaling in has no limit but the stabilisation."""


class Hpa:
    def __init__(self, target: int, minimum: int, maximum: int) -> None:
        """``target``: of the metric per replica; ``minimum``: at least 1, as fewer switch the HPA off."""
        self._target, self._minimum, self._maximum = target, minimum, maximum
        self._recommended: deque[tuple[float, int]] = deque()

    def replicas(self, metric: int, current: int, now: float) -> int:
        """``metric``: summed over all replicas; ``current``: replicas asked for, at least 1.

        Source: kubernetes, podautoscaler/replica_calculator.go, GetExternalPerPodMetricReplicas:
        ``ceil(metric / target)`` unless ``metric / (target * current)`` is within the tolerance of 1; then
        horizontal.go, normalizeDesiredReplicas.
        """
        within = abs(1.0 - metric / (self._target * current)) <= TOLERANCE
        wanted = current if within else math.ceil(metric / self._target)
        stable = self._stabilised(wanted, current, now)
        most = min(self._maximum, max(UP_FACTOR * current, UP_LEAST))
        return min(max(stable, self._minimum), most)

    def _stabilised(self, wanted: int, current: int, now: float) -> int:
        if not self._recommended:
            self._recommended.append((now, current))
        self._recommended.append((now, wanted))
        while self._recommended[0][0] < now - STABILISATION:
            self._recommended.popleft()
        return max(replicas for _, replicas in self._recommended)
