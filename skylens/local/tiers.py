"""Which program each tier is, and the settings that it gets in the embedded cloud."""

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from skylens.alarms import Scaling, declared
from skylens.errors import SettingsError
from skylens.local.environment import REGION
from skylens.settings import PREFIX, ScalerSettings, Settings, WebSettings, WorkerSettings

Tier = Literal["web", "worker", "scaler"]
KINDS: Mapping[Tier, type[Settings]] = {"web": WebSettings, "worker": WorkerSettings, "scaler": ScalerSettings}

DRAIN_SECONDS = 5
"""How long a stopping web node waits for its clients: a person waits for Ctrl-C."""

LEAVE_ALONE = ("deficit", "resident")
"""Policies whose workers leave by themselves. A group launches with the template's user-data, so those tell when."""


def program(tier: Tier) -> list[str]:
    return [sys.executable, "-m", "skylens.cli", tier]


@dataclass(frozen=True)
class Options:
    """How the embedded cloud is to be. ``settings``: more settings, by tier or ``all``, each by name in lower case."""

    port: int = 8080
    """Of the first web node; 0 takes a free one."""
    web_nodes: int = 1
    maximum: int = 4
    boot_seconds: float = 2.0
    """From the launch call to the start of the instance's worker process."""
    idle_seconds: float = 3.0
    """How long an instance may be superfluous before it leaves."""
    fleet: str = "ec2"
    policy: str = "foresight"
    model: str = "cifar10"
    deployment: str = "local"
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    programs: Mapping[Tier, Sequence[str]] = field(default_factory=lambda: {tier: program(tier) for tier in KINDS})

    def common(self) -> dict[str, object]:
        """Settings that all tiers must agree on."""
        fixed: dict[str, object] = {"deployment": self.deployment, "region": REGION, "visibility_timeout": 10}
        return fixed | dict(self.settings.get("all", {}))

    def shared(self) -> Settings:
        """The same as an object for names of queues and buckets; built without a look at our own environment."""
        common: dict[str, Any] = self.common()
        return Settings.model_construct(**common)

    def web(self, node: str, listen: str, internal: str) -> dict[str, object]:
        own = {"node": node, "listen": listen, "internal_listen": internal, "drain_seconds": DRAIN_SECONDS}
        return self.common() | own | dict(self.settings.get("web", {}))

    def scaler(self, nodes: Sequence[str]) -> dict[str, object]:
        """``nodes``: internal address of each web node."""
        own = {
            "web_nodes": ",".join(nodes),
            "fleet": self.fleet,
            "policy": self.policy,
            "minimum": 0,
            "maximum": self.maximum,
            "minimum_bill_seconds": 0,
            "scale_in_seconds": self.idle_seconds,
            "idle_timeout": max(1.0, self.idle_seconds),
            "expected_boot_seconds": self.boot_seconds + 2,
        }
        return self.common() | own | dict(self.settings.get("scaler", {}))

    def worker(self) -> dict[str, object]:
        """What the launch template's user-data say."""
        own: dict[str, object] = {"model": self.model, "heartbeat_seconds": 1}
        if self.fleet == "asg" and self.policy in LEAVE_ALONE:
            own["idle_timeout"] = max(1.0, self.idle_seconds)
        return self.common() | own | dict(self.settings.get("worker", {}))

    def group(self) -> str:
        """Name of the Auto Scaling group (fleets ``asg`` and ``alarms``)."""
        return self._scaler().workers_group()

    def scaling(self) -> Scaling:
        """How AWS is to scale the group (fleet ``alarms``), by the settings that the tiers get."""
        slots = int(str(self.worker().get("slots", 0))) or 4 * (os.cpu_count() or 1)
        return declared(
            deployment=self.deployment,
            slots=slots,
            acceptable_backlog=slots
            * float(self._scaler().latency_goal)
            / float(self._scaler().expected_service_seconds),
            scale_in_periods=max(1, math.ceil(self.idle_seconds / 10)),
        )

    def _scaler(self) -> ScalerSettings:
        """The autoscaler's settings, unchecked: as they were given, or by default."""
        given: dict[str, Any] = self.scaler([])
        return ScalerSettings.model_construct(**given)


def variables(settings: Mapping[str, object]) -> dict[str, str]:
    """Settings as environment variables."""
    return {f"{PREFIX}{name.upper()}": str(value) for name, value in settings.items()}


def parse(assignments: Sequence[str]) -> dict[str, dict[str, str]]:
    """``web.max_waits=2000`` and its like as ``Options.settings``. Raises SettingsError naming what is wrong."""
    made: dict[str, dict[str, str]] = {}
    kinds: dict[str, type[Settings]] = {"all": Settings, **dict(KINDS.items())}
    for assignment in assignments:
        place, equals, value = assignment.partition("=")
        tier, _, name = place.partition(".")
        if not equals or tier not in kinds:
            raise SettingsError(f"--set {assignment}: should be TIER.NAME=VALUE with TIER one of {', '.join(kinds)}")
        if name not in kinds[tier].model_fields:
            raise SettingsError(f"--set {assignment}: {tier} has no setting {name!r}; see skylens settings")
        made.setdefault(tier, {})[name] = value
    return made
