"""A policy of this product as the simulated world's scaler."""

import math

from autoscaler.limits import Calm, Limits, clamp
from autoscaler.observation import BOOTS, CPU, DEMAND, EVENTS, INSTANCES, QUEUE, SERVICE, Observation
from autoscaler.policies import Policy
from autoscaler.simulator.view import View
from skylens.queues import Counts

SECONDS = 119
"""How many whole seconds of demand the web nodes tell."""
CPU_SECONDS = 5
"""Over how many seconds the workers measure their processors: their heartbeat."""
_CURRENT = dict.fromkeys((DEMAND, QUEUE, INSTANCES, EVENTS, CPU), 0.0)


class Ours:
    """Decides each second on what the signals would show, and keeps to the limits, as ``autoscaler.loop`` does.

    The demand is exact and current, SQS's counts lag. The mean percent of CPU is that of the slots that were busy at
    the last ``CPU_SECONDS`` whole seconds: recognition is all that the instances' processors do.
    """

    every = 1.0
    needs_workers = True
    calls_off = False

    def __init__(
        self,
        policy: Policy,
        limits: Limits,
        name: str,
        *,
        start: float = 0.0,
        boot_seconds: float = 60.0,
        idle_timeout: float = 0.0,
        resident: int = 0,
    ) -> None:
        """``start``: of the trace, Unix seconds; ``boot_seconds``: expected until one was measured.

        ``idle_timeout``: seconds after which idle instances leave by themselves, 0 for never; ``resident``: how many
        of them stay all the same.
        """
        self.name, self.idle_timeout, self.resident = name, idle_timeout, resident
        self._policy, self._limits, self._start, self._boot_seconds = policy, limits, start, boot_seconds
        self._calm: Calm | None = None

    def desired(self, view: View) -> int:
        seen = self.observe(view)
        allowed, self._calm = clamp(self._policy.decide(seen), seen, self._limits, self._calm)
        return allowed.desired

    def observe(self, view: View) -> Observation:
        return Observation(
            at=self._start + view.now,
            outstanding=view.waiting + view.in_flight,
            oldest=view.oldest,
            arrivals=tuple(view.arrivals[-SECONDS:]),
            completions=tuple(view.completions[-SECONDS:]),
            queue=Counts(view.sqs_waiting(), view.sqs_in_flight()),
            workers=view.workers,
            minimum=view.minimum,
            maximum=view.maximum,
            slots=view.concurrency,
            boot_seconds=view.boot_seconds or self._boot_seconds,
            service_seconds=view.service_seconds,
            cpu=_cpu(view),
            ages=_ages(view),
        )


def _cpu(view: View) -> float | None:
    """None while no instance is ready."""
    if not view.ready:
        return None
    lately = view.in_flight_each_second[-CPU_SECONDS:] or [0]
    return min(100.0, 100 * math.fsum(lately) / len(lately) / (view.ready * view.concurrency))


def _ages(view: View) -> dict[str, float]:
    """Every source has just answered, but for what was never measured."""
    ages = dict(_CURRENT)
    if view.boot_seconds:
        ages[BOOTS] = 0.0
    if view.service_seconds:
        ages[SERVICE] = 0.0
    return ages
