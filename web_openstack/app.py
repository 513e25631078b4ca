"""The WSGI applications of the web tier, made from what they are given: no environment, no globals."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import falcon

from skylens.clock import Clock
from skylens.errors import SkylensError
from skylens.gathered import Outbox
from skylens.queues import Queue
from skylens.settings import WebSettings
from skylens.store import Store
from web_openstack import problems, tokens
from web_openstack.admission import Admission, FleetBoard
from web_openstack.asked import Waits
from web_openstack.audit import Audit
from web_openstack.batch_answers import BatchAnswers
from web_openstack.batches import Batches
from web_openstack.callers import Open, Strategy
from web_openstack.canonical import Canonical
from web_openstack.deleted import Deleted
from web_openstack.deletion import Deletion
from web_openstack.demand import DemandCounter
from web_openstack.direct import Direct
from web_openstack.door import Door
from web_openstack.fair_admission import FairAdmission
from web_openstack.gauge import QueueGauge
from web_openstack.idempotency import Idempotency
from web_openstack.jobs import Jobs
from web_openstack.keyring import Keyring
from web_openstack.metrics import WebMetrics
from web_openstack.recent import Recent
from web_openstack.refused import Refused
from web_openstack.resources import service
from web_openstack.resources.batches import BatchById, BatchList
from web_openstack.resources.images import ImageById, Images
from web_openstack.resources.page import Page
from web_openstack.resources.plain import PlainDoor
from web_openstack.resources.uploads import UploadList
from web_openstack.result_cache import ResultCache
from web_openstack.room import BODIES, MEMORY, Room
from web_openstack.same_site import SameSite, is_loopback
from web_openstack.tenant_limits import TenantLimits
from web_openstack.turns import Turns
from web_openstack.uploads import Uploads
from web_openstack.waiters import Waiters
from web_openstack.webhooks import signature
from web_openstack.webhooks.agenda import Agenda
from web_openstack.webhooks.callbacks import Callbacks
from web_openstack.webhooks.hooks import Hooks
from web_openstack.webhooks.target import Rules

PAGE = Path(__file__).parent / "page"
BUSY, LINGER = 16, 0.02
"""From so many unanswered images on, a request waits at most so many seconds for others to go to SQS with it."""
NO_TOKENS = tokens.Tokens()


@dataclass(frozen=True)
class Deps:
    """Everything the web tier works with. ``of`` builds the parts that need no choice."""

    settings: WebSettings
    jobs: Jobs
    state: Store
    metrics: WebMetrics
    fleet: FleetBoard
    admission: Admission
    fair: FairAdmission
    gauge: QueueGauge
    in_touch: Callable[[], bool]
    callers: Strategy
    limits: TenantLimits
    audit: Audit
    hooks: Hooks
    room: Room
    memory: Room
    answers: BatchAnswers

    @classmethod
    def of(
        cls,
        settings: WebSettings,
        *,
        inputs: Store,
        outputs: Store,
        state: Store,
        requests: Queue,
        calls: Executor,
        clock: Clock,
        new_id: Callable[[], str],
        in_touch: Callable[[], bool],
        ring: Callable[[], Keyring] | None = None,
        vouched: tokens.Tokens = NO_TOKENS,
    ) -> "Deps":
        """``ring``: the keys file as it is now, None without one; ``vouched``: what is taken beside keys."""
        demand = DemandCounter(settings.node_name(), clock)
        metrics, deleted, agenda = WebMetrics(demand), Deleted(), Agenda(clock)
        metrics.webhooks_pending.set_function(lambda: len(agenda))
        callers = tokens.strategy(settings.api_keys, ring, clock, vouched)
        limits = TenantLimits(settings.rate_limit, lambda: (ring or Keyring)().limits, clock)
        fleet = FleetBoard(clock)
        fair = FairAdmission(
            demand,
            fleet,
            Turns(clock),
            longest=settings.max_predicted_wait,
            most_outstanding=limits.most_outstanding,
        )
        jobs = Jobs(
            inputs=inputs,
            outputs=outputs,
            requests=Outbox(requests, calls, lambda: demand.outstanding() >= BUSY, linger=LINGER),
            reply_queue=settings.queue(f"replies-{settings.node_name()}"),
            retention=settings.retention_hours * 3600,
            largest=settings.max_image_bytes,
            inline=settings.inline_bytes,
            calls=calls,
            demand=demand,
            waiters=Waiters(),
            recent=Recent(deleted),
            cache=ResultCache(settings.cache_mib * 2**20, settings.retention_hours * 3600, deleted, metrics.cached.inc),
            deleted=deleted,
            clock=clock,
            new_id=new_id,
            storing_well=threading.Event(),
            allowance=fair.allowance,
            heard=agenda.heard,
        )
        admission = Admission(settings.max_waits)
        gauge = QueueGauge(requests, clock)
        room = Room(BODIES * settings.max_body_bytes, clock)
        memory = Room(max(MEMORY, 2 * settings.max_image_bytes), clock, settings.max_image_bytes)
        metrics.incoming.set_function(room.taken)
        audit = Audit(callers, metrics, clock)
        return cls(
            settings,
            jobs,
            state,
            metrics,
            fleet,
            admission,
            fair,
            gauge,
            in_touch,
            callers,
            limits,
            audit,
            Hooks(state, agenda),
            room,
            memory,
            BatchAnswers(jobs),
        )

    def drain(self) -> None:
        """Take nothing more in, and let every waiting client go with what can be said."""
        self.admission.draining.set()
        self.jobs.waiters.stop()


def create_app(deps: Deps) -> "falcon.App[Any, Any]":
    """The public application."""
    s = deps.settings
    demand = deps.jobs.demand
    door = Door(deps.callers, deps.limits, deps.admission, deps.fair)
    uploads = Uploads(s.max_image_bytes, s.max_pixels)
    waits = Waits(s.wait_seconds, s.max_wait_seconds)
    batches = Batches(deps.state, deps.jobs, s.max_batch)
    stored = Direct(deps.jobs.inputs, deps.jobs, uploads, door.charge)
    callbacks = Callbacks(deps.hooks, signature.keys(s.webhook_secrets), Rules.of(s))
    guards = [SameSite(local=not (s.open_door or s.trusted_proxy))] if isinstance(deps.callers, Open) else []
    app = _bare(deps, deps.audit, *guards)
    plain = PlainDoor(door, uploads, deps.jobs, s.plain_wait_seconds)
    idempotency = Idempotency(deps.state, deps.jobs)
    app.add_route("/v1/images", Images(door, uploads, deps.jobs, idempotency, waits, callbacks, stored))
    app.add_route("/v1/images/{job}", ImageById(door, deps.jobs, waits, Deletion(deps.jobs, deps.state)))
    app.add_route("/v1/uploads", UploadList(door, stored))
    app.add_route("/v1/batches", BatchList(door, uploads, batches, callbacks))
    app.add_route("/v1/batches/{batch}", BatchById(door, batches, deps.answers, waits))
    app.add_route("/v1/status", service.Status(door, demand, deps.fleet, deps.gauge))
    app.add_route("/healthz", service.Health())
    app.add_route("/readyz", service.Ready(deps.admission, deps.in_touch))
    app.add_route("/metrics", service.Metrics(deps.metrics, door))
    app.add_route("/openapi.json", service.OpenApi())
    app.add_route("/", Page(PAGE / "index.html", plain if s.plain_door else None))
    if s.plain_door:
        app.add_sink(plain, "/")
    app.add_static_route("/page", PAGE)
    return app


def create_internal_app(deps: Deps) -> "falcon.App[Any, Any]":
    """What only the autoscaler and scrapers may ask, on an address of its own, and without a key."""
    guards = [SameSite(local=True)] if is_loopback(f"//{deps.settings.internal_listen}") else []
    app = _bare(deps, *guards)
    app.add_route("/internal/demand", service.DemandResource(deps.jobs.demand))
    app.add_route("/internal/fleet", service.FleetResource(deps.fleet))
    app.add_route("/v1/status", service.Status(None, deps.jobs.demand, deps.fleet, deps.gauge))
    app.add_route("/metrics", service.Metrics(deps.metrics, None))
    return app


def _bare(deps: Deps, *middleware: Any) -> "falcon.App[Any, Any]":
    layers: list[Any] = [Canonical(deps.metrics, deps.jobs.new_id), *middleware, Refused()]
    app = falcon.App(middleware=layers, sink_before_static_route=False)
    app.add_error_handler(Exception, problems.on_bug)
    app.add_error_handler(falcon.HTTPError, _reraise)
    app.add_error_handler(SkylensError, problems.on_skylens_error)
    app.set_error_serializer(problems.on_falcon_error)
    app.req_options.strip_url_path_trailing_slash = True
    return app


def _reraise(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: object) -> None:
    """Falcon's own errors keep their handling; only what nobody expected is a bug."""
    del req, resp, params
    raise error
