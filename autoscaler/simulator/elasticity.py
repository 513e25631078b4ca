"""How closely a fleet followed the demand."""

from dataclasses import dataclass

import numpy as np

from autoscaler.simulator.run import Counts


@dataclass(frozen=True, kw_only=True)
class Elasticity:
    """The elasticity metrics of the SPEC Research Group's cloud working group, in percent; 0 is best for each."""

    theta_u: float
    """Accuracy while short: missing instances as a share of the demand, averaged over all time."""
    theta_o: float
    """Accuracy while in excess: surplus instances as a share of the demand, averaged over all time."""
    tau_u: float
    """Share of time with too few instances."""
    tau_o: float
    """Share of time with too many instances."""
    upsilon: float
    """Instability: share of time in which demand and supply did not move the same way."""


def elasticity(demand: Counts, supply: Counts) -> Elasticity:
    """Compare instances needed with instances ready, both one entry for each second.

    With d and s for demand and supply and T seconds:
    theta_U = 100/T * sum(max(d - s, 0) / d), theta_O = 100/T * sum(max(s - d, 0) / d),
    tau_U = 100/T * sum(max(sgn(d - s), 0)), tau_O = 100/T * sum(max(sgn(s - d), 0)),
    upsilon = 100/(T - 1) * sum(min(abs(sgn(change of s) - sgn(change of d)), 1)).
    "Ready for Rain? A View from SPEC Research on the Future of Cloud Metrics", SPEC-RG-2016-01, and
    "Quantifying Cloud Performance and Dependability", ACM ToMPECS 3(4), 2018.
    Where nothing is needed, one instance is divided by, as in "An Experimental Performance
    Evaluation of Autoscalers for Complex Workflows", ACM ToMPECS 3(2), 2018.

    Raises ValueError for series of different lengths.
    """
    if len(demand) != len(supply):
        raise ValueError(f"demand covers {len(demand)} seconds and supply {len(supply)}")
    excess = supply - demand
    relative = excess / np.maximum(demand, 1)
    moves = np.sign(np.diff(supply)) != np.sign(np.diff(demand))
    return Elasticity(
        theta_u=_percent(np.maximum(-relative, 0.0)),
        theta_o=_percent(np.maximum(relative, 0.0)),
        tau_u=_percent(excess < 0),
        tau_o=_percent(excess > 0),
        upsilon=_percent(moves),
    )


def _percent(shares: np.typing.NDArray[np.float64] | np.typing.NDArray[np.bool_]) -> float:
    return 100.0 * float(np.mean(shares)) if len(shares) else 0.0
