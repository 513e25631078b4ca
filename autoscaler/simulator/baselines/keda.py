"""KEDA's aws-sqs-queue scaler with the Kubernetes HPA that it feeds."""

from autoscaler.simulator.baselines.backlog import acceptable
from autoscaler.simulator.baselines.hpa import SYNC, Hpa
from autoscaler.simulator.model import Model
from autoscaler.simulator.view import View

POLLING = 30.0
"""Seconds between two looks at whether to leave or return to zero. KEDA, apis/keda/v1alpha1/withtriggers_types.go:
defaultPollingInterval."""
COOLDOWN = 300.0
"""Seconds without a message until all replicas go. KEDA, pkg/scaling/executor/scale_executor.go:
defaultCooldownPeriod."""
ACTIVATION = 0
"""Messages that must be exceeded to leave zero. KEDA, pkg/scalers/aws_sqs_queue_scaler.go: activationQueueLength."""
QUEUE_LENGTH = 5
"""Messages per replica, by default. Same file: queueLength."""


class Keda:
    """KEDA turns 0 into 1 and any number into 0; the HPA does all between.

    Both read visible plus in-flight messages (scaleOnInFlight, by default), as old as SQS's counts are, and the HPA's
    reading is not cached (useCachedMetrics, off by default). Source: KEDA, pkg/scalers/aws_sqs_queue_scaler.go and
    pkg/scaling/executor/scale_scaledobjects.go.

    Simplified: KEDA's and the HPA's clocks tick together, and the HPA goes on with what KEDA activated at its next
    tick. There is no Kubernetes node to wait for besides the instance itself.
    """

    name = "keda"
    every = SYNC
    needs_workers = False

    def __init__(self, model: Model, queue_length: int | None = None) -> None:
        """``queue_length``: messages per replica; by default what one works off within the latency goal.

        KEDA's documentation of the scaler: "if one pod can handle 10 messages, set the queue length target to 10".
        """
        self._minimum, self._replicas = model.minimum, model.initial
        target = round(acceptable(model)) if queue_length is None else queue_length
        self._hpa = Hpa(target, max(1, model.minimum), model.maximum)
        self._polled: float | None = None
        self._active_at: float | None = None

    def desired(self, view: View) -> int:
        messages = view.sqs_waiting() + view.sqs_in_flight()
        was_on = self._replicas > 0
        if self._polled is None or view.now - self._polled >= POLLING:
            self._polled = view.now
            self._poll(messages, view.now)
        if was_on and self._replicas:
            self._replicas = self._hpa.replicas(messages, self._replicas, view.now)
        return self._replicas

    def _poll(self, messages: int, now: float) -> None:
        if messages > ACTIVATION:
            self._active_at = now
            self._replicas = self._replicas or max(1, self._minimum)
        elif self._replicas < self._minimum:
            self._replicas = self._minimum
        elif not self._minimum and (self._active_at is None or now - self._active_at >= COOLDOWN):
            self._replicas = 0
