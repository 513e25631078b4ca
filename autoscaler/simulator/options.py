"""Values on the command line of a simulation: times, dates, distributions. Wrong ones raise ArgumentTypeError."""

import argparse
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime

from autoscaler.simulator.distributions import Distribution, Fixed, Lognormal

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def told(seconds: float) -> str:
    """In the largest unit that is reached."""
    name, size = next((name, size) for name, size in reversed(UNITS.items()) if seconds >= size or name == "s")
    return f"{seconds / size:.3g} {name}"


def span(text: str) -> float:
    """Seconds, above 0."""
    found = re.fullmatch(r"(\d+|\d*\.\d+)\s*([smhd]?)", text.strip())
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; 90, 1.5m, 6h or 2d would be one")
    return float(found[1]) * UNITS[found[2] or "s"]


def moment(text: str) -> float | datetime:
    """Seconds from the start of the trace, or a date, in UTC unless it says otherwise."""
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return 0.0 if text == "0" else span(text)
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return int(text)

    return parse


def drawn(text: str) -> Distribution:
    """``P50`` for ever the same time, ``P50:P90`` for a lognormal one."""
    low, colon, high = text.partition(":")
    p50, p90 = span(low), span(high) if colon else 0.0
    if not colon:
        return Fixed(p50)
    if p90 <= p50:
        raise argparse.ArgumentTypeError(f"{text!r}: nine of ten take longer than half; 0.1:0.2 would be right")
    return Lognormal.through(p50=p50, p90=p90)
