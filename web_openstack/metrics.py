"""Prometheus metrics of the web tier, in their own registry, with closed label sets."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from web_openstack.demand import DemandCounter

ROUTES = ("images", "image", "batches", "batch", "plain", "status", "other")


class WebMetrics:
    def __init__(self, demand: DemandCounter) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "skylens_web_requests", "HTTP requests by route and status", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "skylens_web_request_seconds",
            "Seconds from request to answer, waits included",
            ["route"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
            registry=self.registry,
        )
        self.replies = Counter("skylens_web_replies", "Replies taken from the queue", ["kind"], registry=self.registry)
        self.dead = Counter("skylens_web_dead_letters", "Requests that no worker survived", registry=self.registry)
        outstanding = Gauge("skylens_web_outstanding", "Images taken in and not answered", registry=self.registry)
        outstanding.set_function(lambda: demand.snapshot().outstanding)
