"""How other systems would size the same fleet, modelled on their documentation and source.

Each file names the document behind every number. What a system leaves to its operator (target per instance, limits)
is set here as its documentation advises, with the model's true mean service time. For KEDA, whose advice can be read in
two ways, it is the better one: as many messages per replica as one handles at once.
"""

from collections.abc import Callable

from autoscaler.simulator.baselines.aws_tracking import AwsTracking
from autoscaler.simulator.baselines.keda import Keda
from autoscaler.simulator.baselines.knative import Knative
from autoscaler.simulator.baselines.ray_serve import RayServe
from autoscaler.simulator.baselines.static_peak import StaticPeak
from autoscaler.simulator.model import Model
from autoscaler.simulator.view import Scaler

BASELINES: dict[str, Callable[[Model], Scaler]] = {
    "keda": lambda model: Keda(model, model.concurrency),
    "knative": Knative,
    "ray_serve": RayServe,
    "aws_60s": lambda model: AwsTracking(model, period=60),
    "aws_10s": lambda model: AwsTracking(model, period=10),
}
"""By ``Scaler.name``. ``static_peak`` is not among them: it has to be told the trace's peak."""

__all__ = ["BASELINES", "StaticPeak"]
