"""Tells the service manager how the autoscaler does: ready, alive, and what it decided last."""

from autoscaler.lease import Lease
from autoscaler.observation import Decision, Observation
from skylens.systemd import Notifier

STANDBY = "standing by; another autoscaler leads, or the lease cannot be read"


class Herald:
    """A watcher of the loop, which also tells it of each turn. Ready is who has decided once, or stands by."""

    def __init__(self, notifier: Notifier, lease: Lease | None) -> None:
        """``lease``: None for a dry run, which never stands by."""
        self._notifier, self._lease = notifier, lease
        self._decided, self._ready = "", False

    def saw(self, seen: Observation, wanted: Decision, allowed: Decision) -> None:
        del wanted
        self._decided = f"{allowed.desired} instances wanted, {seen.active} there: {allowed.reason}"

    def turned(self) -> None:
        """The loop turned, after a tick or between two: a tick that broke counts as a turn, but never as ready."""
        self._notifier.alive()
        words = STANDBY if self._lease is not None and not self._lease.held else self._decided
        if words and self._ready:
            self._notifier.status(words)
        elif words:
            self._ready = True
            self._notifier.ready(words)
