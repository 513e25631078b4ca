"""What the fleet costs: per hour now, and added up since midnight UTC. Pure."""

from collections import Counter
from collections.abc import Sequence

from autoscaler.observation import Spending
from autoscaler.prices import Prices
from skylens.messages import Struct, Worker

DAY = 86400.0
TEMPLATES = "the launch template's type"
"""What is launched as long as neither the settings nor an instance tell."""


class Ledger(Struct, frozen=True, kw_only=True):
    """Dollars spent on the day of ``at``, up to then, and the rate since.

    Time during which nobody looked, the autoscaler being down, is charged at the rate that was known last. What EC2
    bills beyond the time from launch to end (at least 60 seconds of each instance) is not in it.
    """

    at: float = 0.0
    """Unix seconds."""
    hourly: float = 0.0
    """Dollars per hour from ``at`` on."""
    spent: float = 0.0

    def tick(self, at: float, hourly: float) -> "Ledger":
        """The ledger at a later moment, from which on the fleet costs ``hourly``. A clock set back charges nothing."""
        midnight = at - at % DAY
        before = self.spent if self.at >= midnight else 0.0
        hours = max(0.0, at - max(self.at, midnight)) / 3600
        return Ledger(at=at, hourly=hourly, spent=before + hours * self.hourly)


class Accounts:
    """Prices each observation's instances, and keeps the ledger. Owned by the loop's thread."""

    def __init__(self, prices: Prices, types: Sequence[str]) -> None:
        """``types``: those that may be launched; empty for the launch template's."""
        self._prices, self._types = prices, tuple(types)
        self.ledger = Ledger()
        self.complete = True
        """Whether the ledger has what earlier processes spent today."""

    def spending(self, workers: Sequence[Worker], at: float) -> Spending:
        """What ``workers`` cost, ``at`` Unix seconds.

        An instance whose type is not shown yet costs as much as the next one would: the dearest of those that may be
        launched. Types without a price are left out of the sums, and named.
        """
        counts = Counter([worker.type for worker in workers])
        nameless = counts.pop("", 0)
        following = self._types or tuple(counts) or (TEMPLATES,)
        following_prices = [price for kind in following if (price := self._prices.per_hour(kind)) is not None]
        next_hourly = max(following_prices, default=0.0)
        unpriced = sorted(kind for kind in {*following, *counts} if self._prices.per_hour(kind) is None)
        hourly = nameless * next_hourly + sum(
            count * (self._prices.per_hour(kind) or 0.0) for kind, count in counts.items()
        )
        self.ledger = self.ledger.tick(at, hourly)
        return Spending(
            hourly=hourly,
            today=self.ledger.spent,
            next_hourly=next_hourly,
            unpriced=tuple(unpriced),
            complete=self.complete,
        )
