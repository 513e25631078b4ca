"""Every scaler by its name: the policies of this product, and those of others."""

from autoscaler.limits import Limits
from autoscaler.policies import POLICIES, make
from autoscaler.simulator.baselines import BASELINES, StaticPeak
from autoscaler.simulator.model import Model
from autoscaler.simulator.ours import Ours
from autoscaler.simulator.trace import Trace
from autoscaler.simulator.view import Scaler
from skylens.errors import BadRequestError
from skylens.settings import ScalerSettings, load

NAMES = (*POLICIES, *BASELINES, StaticPeak.name)
LEAVE_BY_THEMSELVES = ("deficit", "resident")
"""Policies whose workers have an idle timeout."""


def contender(name: str, trace: Trace, model: Model) -> Scaler:
    """The scaler of that name for a run over ``trace``. Raises BadRequestError for an unknown one.

    Ours take their parameters from the environment, as the autoscaler does; limits, latency goal and the service time
    to begin with are the model's.
    """
    if name == StaticPeak.name:
        return StaticPeak(model, float(trace.rates.max()))
    if name in BASELINES:
        return BASELINES[name](model)
    if name in POLICIES:
        return _ours(name, trace, model)
    raise BadRequestError(f"no policy {name!r}; there are {', '.join(NAMES)}")


def _ours(name: str, trace: Trace, model: Model) -> Ours:
    settings = load(
        ScalerSettings,
        policy=name,
        minimum=model.minimum,
        maximum=model.maximum,
        latency_goal=model.goal,
        expected_service_seconds=model.service.mean,
        minimum_bill_seconds=model.minimum_bill,
    )
    return Ours(
        make(settings),
        Limits(step=settings.step, scale_in_seconds=settings.scale_in_seconds),
        name,
        start=trace.start,
        boot_seconds=settings.expected_boot_seconds,
        idle_timeout=settings.idle_timeout if name in LEAVE_BY_THEMSELVES else 0.0,
        resident=int(name == "resident"),
    )
