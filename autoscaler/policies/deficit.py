"""Policy ``deficit``: launch what is missing, let workers leave by themselves."""

from autoscaler.observation import Decision, Observation


class Deficit:
    """Launch ``min(visible - running, maximum - running)``, never drain.

    ``visible``: outstanding images that nobody works on yet; ``running``: instances up or on their way. The workers of
    this policy start with an idle timeout and leave when it runs out.
    """

    def decide(self, seen: Observation) -> Decision:
        visible = max(0, seen.outstanding - seen.in_flight)
        missing = max(0, min(visible, seen.maximum) - seen.active)
        return Decision(
            desired=seen.active + missing, reason=f"{visible} waiting, {seen.active} running; idle ones leave alone"
        )
