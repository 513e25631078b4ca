"""Every setting of every tier, read once from the environment into frozen, validated objects.

Precedence: explicit argument > environment variable ``SKYLENS_<NAME>`` > file of that name in the systemd credentials
directory > default. A wrong value, or a variable that no tier knows, refuses to start and names the variable.
"""

import difflib
import os
import re
import socket
from collections.abc import Mapping
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from skylens.errors import SettingsError
from skylens.messages import INLINE_LIMIT
from skylens.setting_forms import (
    ApiKeys,
    Grants,
    IssuerUrl,
    KeystoneUrl,
    ListenAddress,
    MetricsAddress,
    Networks,
    Nodes,
    Prices,
    WebhookSecrets,
    Words,
)

PREFIX = "SKYLENS_"
SHOWN = 200
"""Most characters of a wrong value that are shown."""
SECRET = ("api_keys", "webhook_secrets")
"""Settings whose values are never shown."""
_S = TypeVar("_S", bound="Settings")


class Settings(BaseSettings):
    """What every tier needs to find its cloud."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    deployment: str = Field("skylens", pattern=r"^[a-z][a-z0-9-]{0,29}$")
    """Prefix of every queue, bucket and tag; two deployments may share an account."""
    region: str = Field("us-east-1", pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    """AWS region of the queues, buckets and instances."""
    input_bucket: str = Field("", pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")
    """Bucket of the images; by default ``<deployment>-input``."""
    output_bucket: str = Field("", pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")
    """Bucket of the results; by default ``<deployment>-output``."""
    state_bucket: str = Field("", pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")
    """Bucket of leases, batches, idempotency keys, dead letters and models; by default ``<deployment>-state``."""
    visibility_timeout: int = Field(30, ge=5, le=43200)
    """Seconds a received request stays hidden; workers extend it while they work."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least level that is logged."""
    log_format: Literal["json", "text"] = "json"
    """One JSON object a line, or lines for a person's eyes."""

    @field_validator("deployment")
    @classmethod
    def _no_prefix_of_another(cls, name: str) -> str:
        """``a-replies-b`` would have queues whose names begin as those of the reply queues of ``a``."""
        if "-replies-" in f"{name}-":
            raise ValueError(f"{name} must not have -replies- in it: that is how reply queues are named")
        return name

    def bucket(self, kind: Literal["input", "output", "state"]) -> str:
        return str(getattr(self, f"{kind}_bucket")) or f"{self.deployment}-{kind}"

    def queue(self, kind: str) -> str:
        """Full name of the queue ``requests``, ``requests-dead``, ``events`` or ``replies-<node>``."""
        return f"{self.deployment}-{kind}"


class WebSettings(Settings):
    """The door: HTTP, admission, replies."""

    listen: ListenAddress = "127.0.0.1:8080"
    """Address of the public API and the page."""
    internal_listen: ListenAddress = "127.0.0.1:8081"
    """Address of ``/internal/*`` for the autoscaler; keep it private."""
    node: str = Field("", pattern=r"^[A-Za-z0-9_-]{0,40}$")
    """Name of this web process, unique in the deployment; by default the machine's name and port."""
    nova_cloud: str = ""
    """Cloud in clouds.yaml whose Nova tells the machine's name; empty, or without an answer: it is the host name."""
    max_waits: int = Field(1024, ge=1, le=8192)
    """Clients that may wait at once, an eighth more for tenants below their share; each costs one thread."""
    max_image_bytes: int = Field(16 * 1024**2, ge=1024, le=512 * 1024**2)
    """Largest image in bytes."""
    max_pixels: int = Field(50_000_000, ge=1024, le=1_000_000_000)
    """Largest image in pixels, as its header says."""
    inline_bytes: int = Field(45_000, ge=0, le=INLINE_LIMIT)
    """Largest image that rides along in its message, for a faster answer; above 45000, SQS counts a second call."""
    cache_mib: int = Field(16, ge=0, le=4096)
    """Memory in MiB for answers by content: the same image from the same tenant needs no worker; 0 turns it off."""
    max_body_bytes: int = Field(256 * 1024**2, ge=2048, le=4 * 1024**3)
    """Largest request body in bytes, a batch's included; four times as many are the most that come in at once."""
    max_batch: int = Field(1000, ge=1, le=10_000)
    """Most files in one batch."""
    wait_seconds: float = Field(30, ge=0, le=3600)
    """How long ``POST /v1/images`` waits for the result when the client does not say."""
    max_wait_seconds: float = Field(300, ge=1, le=3600)
    """Longest ``wait`` a client may ask for."""
    plain_wait_seconds: float = Field(1800, ge=1, le=86400)
    """How long the plain-text door keeps its connection; it always answers there."""
    max_predicted_wait: float = Field(600, ge=1, le=86400)
    """Predicted seconds to a result, a boot not counted, above which new images are refused with 503."""
    plain_door: bool = True
    """Whether ``POST /`` and any free path answer in plain text."""
    retention_hours: float = Field(24, gt=0, le=8760)
    """How long a result is kept; after it the job answers 410. The buckets' lifecycle rules must agree."""
    api_keys: ApiKeys = ()
    """``tenant:sha256`` of API keys that may do everything for ever; without any key the door is open, on loopback."""
    keys_file: str = ""
    """File of API keys, with scopes and expiry, and of tenants' limits: see ``skylens keys``; changes count at once."""
    oidc_issuer: IssuerUrl = ""
    """URL of the OpenID Connect issuer whose JWTs are taken as bearer tokens; empty takes none."""
    oidc_audience: str = ""
    """What ``aud`` of a JWT must be, or hold: the name by which the issuer knows this service."""
    oidc_tenant_claim: str = Field("tenant", min_length=1)
    """Claim of a JWT that names its tenant."""
    oidc_scope_claim: str = Field("scope", min_length=1)
    """Claim of a JWT whose words, or list, ``oidc_scopes`` turns into scopes."""
    oidc_scopes: Grants = (
        "skylens:submit=submit",
        "skylens:read=read",
        "skylens:delete=delete",
        "skylens:operate=operate",
    )
    """``word=scope`` or ``word=scope+scope``: what a word of a JWT's scope claim lets do. Other words: nothing."""
    keystone_url: KeystoneUrl = ""
    """Identity API of the Keystone whose tokens are taken as ``X-Auth-Token``, ending in /v3; empty takes none."""
    keystone_roles: Grants = ("member=submit+read+delete", "reader=read")
    """``role=scope+scope``: what a role in the token's project lets do; other roles let do nothing."""
    tokens_ca: str = ""
    """File of certificates (PEM) to trust beside the system's when the issuer or Keystone is asked."""
    open_door: bool = False
    """Serve without API keys on an address that is not loopback."""
    rate_limit: str = Field("", pattern=r"^(\d+/(second|minute|hour|day))?$")
    """Images per tenant, such as ``100/second``; empty means no limit."""
    drain_seconds: float = Field(25, ge=0, le=600)
    """How long a stopping web process waits for its clients to be answered."""
    trusted_proxy: str = ""
    """Address of the proxy in front, whose X-Forwarded-* headers are believed."""
    webhook_secrets: WebhookSecrets = Field((), repr=False)
    """``tenant:whsec_<base64>`` of secrets that sign webhooks; two of a tenant both sign, one without gets none."""
    webhook_networks: Networks = ()
    """Private networks that webhooks may go to, such as ``10.2.0.0/16``, beside public addresses."""
    webhook_http: bool = False
    """Whether ``webhook_networks`` may be reached by http and at any port, not by https at 443 and 8443 alone."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.max_image_bytes > self.max_body_bytes:
            raise ValueError(f"max_image_bytes {self.max_image_bytes} must not exceed max_body_bytes")
        if self.wait_seconds > self.max_wait_seconds:
            raise ValueError(f"wait_seconds {self.wait_seconds} must not exceed max_wait_seconds")
        if self.webhook_http and not self.webhook_networks:
            raise ValueError("webhook_http=true is for webhook_networks alone, and there are none")
        if self.listen == self.internal_listen:
            raise ValueError(f"listen and internal_listen are both {self.listen}; they must differ")
        if bool(self.oidc_issuer) != bool(self.oidc_audience):
            raise ValueError(
                f"oidc_issuer is {self.oidc_issuer!r} and oidc_audience {self.oidc_audience!r}: set both, or neither; "
                "a token for another service of that issuer must not let in"
            )
        host = self.listen.rpartition(":")[0]
        if not (
            self.api_keys
            or self.keys_file
            or self.oidc_issuer
            or self.keystone_url
            or self.open_door
            or host in {"localhost", "[::1]"}
            or host.startswith("127.")
        ):
            raise ValueError(
                f"listen {self.listen} is not loopback: set api_keys or keys_file, oidc_issuer or keystone_url, "
                "or open_door=true to serve anybody"
            )
        return self

    def node_name(self, machine: str = "") -> str:
        """Name of this process's reply queue: as set, or the ``machine``'s, by default its host name, and port."""
        port = self.listen.rpartition(":")[2]
        return self.node or f"{re.sub(r'[^A-Za-z0-9_-]', '-', machine or socket.gethostname())[:34]}-{port}"


class WorkerSettings(Settings):
    """An app instance: model, concurrency, when it leaves."""

    model: str = "cifar10"
    """Name of an installed model, or path of a model folder; what counts until one is activated in the bucket."""
    models_dir: str = ""
    """Folder of installed models; by default ``$XDG_DATA_HOME/skylens/models``."""
    model_seconds: float = Field(10, ge=0, le=3600)
    """Seconds between two looks at which model is activated in the state bucket; 0 means never: only ``model``."""
    slots: int = Field(0, ge=0, le=256)
    """Images taken at once; 0 means four for each core."""
    batch_size: int = Field(1, ge=1, le=256)
    """Most images in one call of the model; unless it is set, what `skylens models tune` measured here."""
    batch_wait_ms: float = Field(2, ge=0, le=1000)
    """Longest wait in milliseconds for a batch to fill."""
    max_pixels: int = Field(50_000_000, ge=1024, le=1_000_000_000)
    """Largest image in pixels; larger ones are answered as failed."""
    idle_timeout: float = Field(0, ge=0, le=86400)
    """Seconds without work after which the worker leaves by itself; 0 means never."""
    orphan_timeout: float = Field(600, ge=0, le=86400)
    """Seconds without work and without a living autoscaler after which the worker ends its instance; 0 means never."""
    resident: bool = False
    """Never leave for being idle or orphaned."""
    heartbeat_seconds: float = Field(5, ge=0.1, le=15)
    """Seconds between two heartbeat events."""
    metadata_seconds: float = Field(1, ge=0.1, le=60)
    """Seconds between two looks at the instance metadata."""


class ScalerSettings(Settings):
    """The autoscaler: policy, limits, fleet."""

    policy: Literal["foresight", "target_tracking", "depth_cpu", "greedy", "resident", "deficit"] = "foresight"
    """How the fleet is sized; see docs/autoscaling.md."""
    fleet: Literal["ec2", "asg", "alarms"] = "ec2"
    """What is sized: instances of a launch template, an Auto Scaling group, or one that AWS's own alarms size."""
    minimum: int = Field(0, ge=0, le=1000)
    """Fewest instances."""
    maximum: int = Field(20, ge=1, le=1000)
    """Most instances, pending and draining ones counted."""
    step: int = Field(20, ge=1, le=1000)
    """Most instances launched in one decision."""
    images_per_instance: int = Field(4, ge=1, le=100_000)
    """Outstanding images that justify one instance (policy ``greedy``)."""
    idle_timeout: float = Field(30, ge=1, le=86400)
    """Seconds without work after which workers leave by themselves (policies ``deficit`` and ``resident``)."""
    latency_goal: float = Field(2, gt=0, le=3600)
    """Seconds within which an image should be answered (policies ``foresight`` and ``target_tracking``)."""
    utilisation: float = Field(0.9, gt=0, le=1)
    """Share of the fleet's slots that forecast work may fill (policy ``foresight``)."""
    forecast_quantile: float = Field(0.9, ge=0.7, le=0.98)
    """Quantile of the forecast rate to begin with; late images raise it, punctual ones lower it (``foresight``)."""
    expected_service_seconds: float = Field(0.1, gt=0, le=3600)
    """Seconds of work per image believed until measured (policies ``foresight`` and ``target_tracking``)."""
    images_to_scale_out: int = Field(20, ge=1, le=1_000_000)
    """Outstanding images above which the queue asks for more instances (policy ``depth_cpu``)."""
    cpu_to_scale_out: float = Field(70, gt=0, le=100)
    """Mean percent of CPU above which the fleet grows (policy ``depth_cpu``)."""
    cpu_to_scale_in: float = Field(30, ge=0, lt=100)
    """Mean percent of CPU below which the fleet may shrink (policy ``depth_cpu``)."""
    cpu_source: Literal["events", "cloudwatch"] = "events"
    """Where the fleet's CPU is read: in the workers' heartbeats, or in CloudWatch's once-a-minute metric."""
    minimum_bill_seconds: float = Field(60, ge=0, le=3600)
    """Seconds that an instance is billed at least; a spare one stays that long, or one boot (``foresight``)."""
    scale_in_seconds: float = Field(10, ge=0, le=86400)
    """How long fewer instances must be enough before some are drained."""
    tick_seconds: float = Field(1, ge=0.05, le=60)
    """Seconds between two decisions."""
    web_nodes: Nodes = ("http://127.0.0.1:8081",)
    """Internal address of each web node; with ``nova_cloud``, if set at all, only until Nova has answered."""
    nova_cloud: str = ""
    """Cloud in clouds.yaml in whose Nova the web nodes are looked for; empty: they are those of ``web_nodes``."""
    launch_template: str = Field("", pattern=r"^[A-Za-z0-9()./_-]{0,128}$")
    """EC2 launch template of the workers; by default ``<deployment>-worker``."""
    subnets: Words = ()
    """Subnets tried in order; empty leaves the choice to EC2 (fleet ``ec2``)."""
    instance_types: Words = ()
    """Instance types tried in order; empty means the launch template's (fleet ``ec2``)."""
    spot: bool = False
    """Try Spot first, then on-demand (fleet ``ec2``; a group has this in its own launch options)."""
    group: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,255}$")
    """Auto Scaling group (fleets ``asg`` and ``alarms``); by default ``<deployment>-workers``."""
    prices: Prices = ()
    """``type=dollars`` an hour for instance types whose price is unknown or another one, such as ``c7i.large=0.08``."""
    budget_per_hour: float = Field(0, ge=0, le=1_000_000)
    """Most dollars an hour that the fleet may cost, by the price table; 0 means no such limit."""
    budget_per_day: float = Field(0, ge=0, le=1_000_000)
    """Most dollars that the fleet may cost from midnight to midnight UTC; 0 means no such limit."""
    boot_timeout: float = Field(600, ge=1, le=86400)
    """Seconds after which an instance that never got ready is terminated."""
    expected_boot_seconds: float = Field(60, ge=0, le=3600)
    """Boot time believed until one was measured."""
    lease_seconds: int = Field(10, ge=2, le=600)
    """How long an autoscaler that fell silent keeps its lease."""
    dry_run: bool = False
    """Decide and log, but launch and drain nothing."""
    metrics_listen: MetricsAddress = ""
    """Address of the autoscaler's Prometheus metrics; empty serves none."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} must not exceed maximum {self.maximum}")
        if self.fleet == "alarms" and (self.budget_per_hour or self.budget_per_day):
            raise ValueError(
                "fleet alarms is sized by AWS, which knows no budget: unset budget_per_hour, budget_per_day"
            )
        if self.cpu_to_scale_in >= self.cpu_to_scale_out:
            raise ValueError(f"cpu_to_scale_in {self.cpu_to_scale_in:g} must be below cpu_to_scale_out")
        return self

    def workers_group(self) -> str:
        return self.group or f"{self.deployment}-workers"

    def template(self) -> str:
        return self.launch_template or f"{self.deployment}-worker"


TIERS: tuple[type[Settings], ...] = (WebSettings, WorkerSettings, ScalerSettings)


def load(kind: type[_S], /, **explicit: Any) -> _S:
    """Read the settings of one tier. Raises SettingsError naming each variable that is wrong or unknown."""
    _refuse_unknown(os.environ)
    try:
        values: dict[str, Any] = {"_secrets_dir": os.environ.get("CREDENTIALS_DIRECTORY"), **explicit}
        return kind(**values)
    except ValidationError as error:
        raise SettingsError("; ".join(_line(problem) for problem in error.errors())) from None


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = sorted({name.upper() for tier in TIERS for name in tier.model_fields})
    for name in environment:
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in known:
            near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
            raise SettingsError(f"{name} is not a setting" + (f"; did you mean {PREFIX}{near[0]}?" if near else ""))


def _line(problem: Any) -> str:
    """One validation problem as a sentence: the variable, its value (unless secret), what would be right."""
    place = problem["loc"][0] if problem["loc"] else ""
    right = str(problem["msg"]).removeprefix("Value error, ")
    if not place:
        return right
    value = "(hidden)" if place in SECRET else repr(problem["input"])
    value = value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
    return f"{PREFIX}{str(place).upper()}={value}: {right}"
