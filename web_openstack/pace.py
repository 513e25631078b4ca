"""How slow a client may be: a connection is a place that another client cannot have."""

from dataclasses import dataclass

RATE = 8 * 1024
"""Bytes a second that pay for the time they take: 16 MiB may take half an hour and a minute."""
UNREAD = 1024**2
"""Bytes of an answer that are kept for a client that does not read; beyond them, who makes the answer waits."""


@dataclass
class Pace:
    """A request on its way in, or an answer on its way out. ``began``: Unix seconds; ``moved``: bytes since then."""

    began: float
    moved: int = 0

    def is_late(self, now: float, patience: float) -> bool:
        """Whether it took more than ``patience`` seconds and one for each ``RATE`` bytes."""
        return now - self.began > patience + self.moved / RATE
