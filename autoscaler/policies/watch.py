"""Policy of the fleet ``alarms``: AWS scales, the autoscaler tells what it sees."""

from autoscaler.observation import DEMAND, Decision, Observation


class Watch:
    """As many as there are, whatever the demand: CloudWatch's alarms decide, see ``skylens/alarms.json``."""

    def decide(self, seen: Observation) -> Decision:
        backlog = seen.outstanding / max(1, seen.active)
        blind = ", and sees nothing while demand is stale" if DEMAND in seen.stale else ""
        return Decision(
            desired=seen.active,
            reason=f"AWS scales{blind}: {seen.outstanding} outstanding, {backlog:.1f} per instance",
        )
