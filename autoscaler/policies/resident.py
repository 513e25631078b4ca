"""Policy ``resident``: one worker that never leaves, others for what waits beyond it."""

from autoscaler.observation import Decision, Observation


class Resident:
    """Launch ``outstanding - (running - 1)``, never drain.

    One instance is kept resident (see ``Loop``); the others start with an idle timeout and leave when it runs out.
    """

    def decide(self, seen: Observation) -> Decision:
        missing = seen.outstanding - (seen.active - 1)
        wanted = seen.active + max(0, missing)
        return Decision(
            desired=max(1, min(wanted, max(seen.maximum, seen.active))),
            reason=f"{seen.outstanding} outstanding, {seen.active} running, one of them resident",
        )
