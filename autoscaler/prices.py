"""What instance types cost: the table in ``prices.toml``, and what the operator knows better."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from skylens.errors import SettingsError
from skylens.settings import ScalerSettings

TABLE = Path(__file__).with_name("prices.toml")


class Prices:
    """On-demand dollars per hour. Spot costs at most that, so with Spot all sums are an upper bound."""

    def __init__(self, overrides: Iterable[str] = ()) -> None:
        """``overrides``: ``type=dollars`` each, before the table; the way to the prices of other regions."""
        given = (entry.partition("=") for entry in overrides)
        self._table: Mapping[str, float] = _table() | {kind: float(dollars) for kind, _, dollars in given}

    def per_hour(self, kind: str) -> float | None:
        """Dollars per hour of an instance type; None when nobody said."""
        return self._table.get(kind)


def of(settings: ScalerSettings) -> Prices:
    """The prices as set.

    Raises SettingsError when a budget is set and the price of what is to be launched is not known.
    """
    prices = Prices(settings.prices)
    budget = _budget(settings)
    if budget and not settings.instance_types:
        raise SettingsError(f"{budget}: say in SKYLENS_INSTANCE_TYPES what is launched, so that its price is known")
    unknown = [kind for kind in settings.instance_types if prices.per_hour(kind) is None]
    if budget and unknown:
        raise SettingsError(f"{budget}: SKYLENS_PRICES lacks the dollars an hour of {', '.join(unknown)}")
    return prices


def _budget(settings: ScalerSettings) -> str:
    """The variable that sets a budget, and its value; empty when none does."""
    for name in ("budget_per_hour", "budget_per_day"):
        if getattr(settings, name):
            return f"SKYLENS_{name.upper()}={getattr(settings, name):g}"
    return ""


def _table() -> dict[str, float]:
    return {
        f"{family}.{size}": dollars
        for family, sizes in tomllib.loads(TABLE.read_text()).items()
        for size, dollars in sizes.items()
    }
