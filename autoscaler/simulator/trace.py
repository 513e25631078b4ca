"""Request counts over time, bin by bin."""

from dataclasses import dataclass, replace

from autoscaler.simulator.run import Seconds
from skylens.errors import SkylensError


class TraceError(SkylensError):
    code, title = "bad-trace", "A trace file is wrong"


@dataclass(frozen=True)
class Trace:
    """``counts``: requests in each bin; ``start``: Unix seconds of the first bin, 0 when the file does not tell.

    ``missing``: bins that the file lacks, which hold zero.
    """

    name: str
    start: float
    bin_seconds: float
    counts: Seconds
    missing: int = 0

    @property
    def seconds(self) -> float:
        return len(self.counts) * self.bin_seconds

    @property
    def rates(self) -> Seconds:
        """Requests per second in each bin."""
        return self.counts / self.bin_seconds

    def scaled(self, peak: float) -> "Trace":
        """The same shape with ``peak`` requests per second in the busiest bin. Raises TraceError without any."""
        busiest = float(self.rates.max())
        if not busiest:
            raise TraceError(f"{self.name} has no requests in {self.seconds:g} seconds; one at least can be scaled")
        return replace(self, counts=self.counts * (peak / busiest))

    def window(self, first: int, bins: int) -> "Trace":
        """``bins`` bins from ``first`` on. Raises TraceError when there are not as many."""
        if not (first >= 0 and bins >= 1 and first + bins <= len(self.counts)):
            raise TraceError(
                f"{self.name} has the bins 0 to {len(self.counts) - 1}; not {bins} of them from {first} on"
            )
        start = self.start + first * self.bin_seconds
        return replace(self, start=start, counts=self.counts[first : first + bins])
