"""What operators and other tiers ask: health, readiness, metrics, status, demand, the fleet's report, OpenAPI."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import falcon
import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from skylens.errors import BadRequestError, MessageError
from skylens.messages import FleetReport, decode, encode
from web_openstack.admission import Admission, FleetBoard
from web_openstack.demand import DemandCounter
from web_openstack.door import Door
from web_openstack.gauge import QueueGauge
from web_openstack.metrics import WebMetrics
from web_openstack.outlook import outlook

LONGEST_REPORT = 4 * 1024**2


class Health:
    """``GET /healthz``: the process answers."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        del req
        resp.content_type = falcon.MEDIA_JSON
        resp.data = b'{"status":"alive"}'


@dataclass(frozen=True)
class Ready:
    """``GET /readyz``: able to accept images now."""

    admission: Admission
    in_touch: Callable[[], bool]
    """Whether AWS answered lately."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        del req
        reasons = []
        if self.admission.draining.is_set():
            reasons.append("stopping")
        if not self.in_touch():
            reasons.append("AWS does not answer")
        resp.status = falcon.HTTP_503 if reasons else falcon.HTTP_200
        resp.content_type = falcon.MEDIA_JSON
        resp.data = encode({"ready": not reasons, "reasons": reasons})
        if reasons:
            resp.set_header("Retry-After", "5")


@dataclass(frozen=True)
class Metrics:
    """``GET /metrics``: Prometheus."""

    metrics: WebMetrics
    door: Door | None
    """None on the internal address, where nobody is asked."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if self.door is not None:
            self.door.who(req, "operate")
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = generate_latest(self.metrics.registry)


@dataclass(frozen=True)
class Status:
    """``GET /v1/status``: queue, fleet and demand, for people, with any key."""

    door: Door | None
    """As of ``Metrics``."""
    demand: DemandCounter
    fleet: FleetBoard
    gauge: QueueGauge

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if self.door is not None:
            self.door.who(req, None)
        demand, fleet, counts = self.demand.snapshot(), self.fleet.look(), self.gauge.read()
        resp.set_header("Cache-Control", "no-store")
        resp.content_type = falcon.MEDIA_JSON
        resp.data = encode(
            {
                "node": demand.node,
                "time": demand.at,
                "demand": {
                    "outstanding": demand.outstanding,
                    "oldest": demand.oldest,
                    "arrivals": demand.arrivals,
                    "completions": demand.completions,
                },
                "fleet": fleet[0] if fleet else None,
                "fleet_age": fleet[1] if fleet else None,
                "queue": {"visible": counts.visible, "in_flight": counts.in_flight} if counts else None,
                "predicted_wait": outlook(demand, self.fleet.fresh()).wait,
            }
        )


@dataclass(frozen=True)
class DemandResource:
    """``GET /internal/demand``, on the internal address only."""

    demand: DemandCounter

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        del req
        resp.content_type = falcon.MEDIA_JSON
        resp.data = encode(self.demand.snapshot())


@dataclass(frozen=True)
class FleetResource:
    """``PUT /internal/fleet``, on the internal address only."""

    fleet: FleetBoard

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        try:
            self.fleet.post(decode(FleetReport, req.bounded_stream.read(LONGEST_REPORT)))
        except MessageError as error:
            raise BadRequestError(error.detail) from error
        resp.status = falcon.HTTP_204


class OpenApi:
    """``GET /openapi.json``: the hand-written description, as JSON."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        del req
        resp.content_type = falcon.MEDIA_JSON
        resp.data = description()


@functools.cache
def description() -> bytes:
    """``openapi.json`` as it lies beside this package."""
    text = resources.files("web_openstack").joinpath("openapi.json").read_bytes()
    return msgspec.json.encode(msgspec.json.decode(text))
