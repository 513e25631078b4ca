"""Times drawn at random, seeded by whoever draws."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_Z90 = 1.2815515655446004
"""The standard normal distribution's 90th percentile."""


class Distribution(Protocol):
    @property
    def mean(self) -> float: ...

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """``count`` values in seconds, none negative."""
        ...


@dataclass(frozen=True)
class Fixed:
    seconds: float

    @property
    def mean(self) -> float:
        return self.seconds

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        del rng
        return np.full(count, self.seconds)


@dataclass(frozen=True)
class Lognormal:
    """``loc + scale * exp(shape * N(0, 1))``, as scipy.stats.lognorm names its parameters."""

    shape: float
    loc: float
    scale: float

    @classmethod
    def through(cls, *, p50: float, p90: float) -> "Lognormal":
        """The one without ``loc`` that has this median and this 90th percentile."""
        return cls(math.log(p90 / p50) / _Z90, 0.0, p50)

    @property
    def mean(self) -> float:
        return self.loc + self.scale * math.exp(self.shape**2 / 2)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        return self.loc + rng.lognormal(math.log(self.scale), self.shape, count)


@dataclass(frozen=True)
class Measured:
    """Values as measured, each as likely as any other."""

    samples: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.samples))

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        return rng.choice(np.asarray(self.samples), count)
