"""Policy ``greedy``: one instance for every few outstanding images."""

from autoscaler.observation import Decision, Observation


class Greedy:
    """``ceil(outstanding / images_per_instance)``, at most the maximum."""

    def __init__(self, images_per_instance: int) -> None:
        self._each = images_per_instance

    def decide(self, seen: Observation) -> Decision:
        wanted = -(-seen.outstanding // self._each)
        return Decision(
            desired=min(wanted, seen.maximum), reason=f"{seen.outstanding} outstanding, {self._each} per instance"
        )
