"""The autoscaler's Prometheus metrics: one registry of its own, closed label sets."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from skylens.aws_errors import Trouble
from skylens.errors import SettingsError

STATES = ("pending", "booting", "ready", "busy", "idle", "draining", "stopping")


class Metrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.desired = Gauge("skylens_scaler_desired", "Active instances decided on", registry=registry)
        self.instances = Gauge("skylens_scaler_instances", "Instances by state", ["state"], registry=registry)
        self.boot_seconds = Gauge("skylens_scaler_boot_seconds", "Expected boot time", registry=registry)
        self.leading = Gauge("skylens_scaler_leading", "1 while this autoscaler holds the lease", registry=registry)
        self.decisions = Counter("skylens_scaler_decisions", "Decisions by direction", ["direction"], registry=registry)
        self.launches = Counter("skylens_scaler_launches", "Instances launched", registry=registry)
        self.drains = Counter("skylens_scaler_drains", "Instances told to leave", registry=registry)
        self.terminations = Counter("skylens_scaler_terminations", "Instances given up", ["why"], registry=registry)
        self.broken = Counter("skylens_scaler_broken_ticks", "Ticks that a fault cut short", registry=registry)
        self.overruns = Counter("skylens_scaler_overruns", "Ticks longer than their period", registry=registry)
        self.tick_seconds = Histogram("skylens_scaler_tick_seconds", "Seconds a tick took", registry=registry)
        self.aws_errors = Counter("skylens_scaler_aws_errors", "AWS errors by kind", ["kind"], registry=registry)
        for state in STATES:
            self.instances.labels(state=state)
        for direction in ("out", "in", "hold"):
            self.decisions.labels(direction=direction)
        for why in ("never_ready", "lost"):
            self.terminations.labels(why=why)
        for kind in Trouble:
            self.aws_errors.labels(kind=kind.value)

    def serve(self, listen: str) -> None:
        """Serve on ``host:port`` from a daemon thread that ends with the process and holds nothing.

        Raises SettingsError when that address cannot be served on.
        """
        host, _, port = listen.rpartition(":")
        try:
            start_http_server(int(port), host, registry=self.registry)
        except (OSError, OverflowError) as error:
            raise SettingsError(f"SKYLENS_METRICS_LISTEN={listen!r}: {error}") from error
