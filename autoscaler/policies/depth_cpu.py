"""Policy ``depth_cpu``: queue depth and mean CPU of the fleet, both."""

import math

from autoscaler.observation import CPU, Decision, Observation


class DepthCpu:
    """One step at a time, as two pairs of alarms would.

    Out: by one instance for each full ``images`` outstanding, or, when none is reached, by one when the mean CPU is
    above ``high``; always to one when the fleet is empty and something waits. In: by one, only while the CPU is below
    ``low`` and less than ``images`` are outstanding for each instance that would be left; without any outstanding
    image the whole fleet may go. While instances boot, what they were launched for is not asked for again.
    """

    def __init__(self, images: int, high: float, low: float) -> None:
        """``images``: outstanding ones that ask for one instance; ``high``, ``low``: percent of CPU."""
        self._images, self._high, self._low = images, high, low

    def decide(self, seen: Observation) -> Decision:
        coming = seen.count("pending", "booting")
        cpu = None if CPU in seen.stale else seen.cpu
        told = "unknown" if cpu is None else f"{cpu:.0f} %"
        desired, why = self._step(seen, coming, cpu)
        return Decision(
            desired=max(0, min(desired, max(seen.maximum, seen.active))),
            reason=f"{seen.outstanding} outstanding at {self._images} an instance, CPU {told}: {why}",
        )

    def _step(self, seen: Observation, coming: int, cpu: float | None) -> tuple[int, str]:
        deep = math.ceil(seen.outstanding / self._images)
        if deep > seen.active:
            return deep, "queue is deep"
        if cpu is not None and cpu > self._high and not coming and seen.outstanding:
            return seen.active + 1, f"CPU above {self._high:g} %"
        if not seen.outstanding:
            return 0, "nothing outstanding"
        if deep < seen.active and cpu is not None and cpu < self._low:
            return seen.active - 1, f"CPU below {self._low:g} %"
        return seen.active, "neither asks for a change"
