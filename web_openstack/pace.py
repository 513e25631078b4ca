"""How slow a client may be: a connection is a place that another client cannot have."""

from dataclasses import dataclass

RATE = 8 * 1024
"""Bytes a second that pay for the time they take: 16 MiB may take half an hour and a minute."""
UNREAD, ALL_UNREAD = 256 * 1024, 48 * 1024**2
"""Bytes of an answer that are kept for a client that does not read, beyond which who makes the answer waits; and of all
answers, beyond which those are given up of which nothing was taken for longest."""


@dataclass
class Pace:
    """A request on its way in, or an answer on its way out. ``began``: Unix seconds; ``moved``: bytes since then."""

    began: float
    moved: int = 0

    def is_late(self, now: float, patience: float) -> bool:
        """Whether it took more than ``patience`` seconds and one for each ``RATE`` bytes."""
        return now - self.began > patience + self.moved / RATE
