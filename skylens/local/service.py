"""A tier that always runs: started again when it dies, as systemd does in production."""

from collections.abc import Callable

from skylens.clock import Clock
from skylens.local.children import Child, Say

RESTART_SECONDS = 1.0
"""Pause before a dead service is started again."""


class Service:
    """One always-on child: a web node or the autoscaler. Used by the main thread alone."""

    def __init__(self, start: Callable[[], Child], say: Say, clock: Clock | None = None) -> None:
        self._start, self._say, self._clock = start, say, clock or Clock()
        self._again: float | None = None
        self.restarts = 0
        self.child = start()

    def tick(self) -> None:
        """Notice a death, and end the pause after one."""
        if self.child.running:
            return
        now = self._clock.ticks()
        if self._again is None:
            self._again = now + RESTART_SECONDS
            ending = f"{self.child.name} (process {self.child.pid}) ended with {self.child.ending()}"
            self._say(f"{ending}; starting it again in {RESTART_SECONDS:g} s")
        elif now >= self._again:
            self._again = None
            self.restarts += 1
            self.child = self._start()
