"""Prometheus metrics of the web tier, in their own registry, with closed label sets."""

import threading
from collections import OrderedDict
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from skylens.messages import Result
from web_openstack.demand import DemandCounter

ROUTES = ("images", "image", "batches", "batch", "uploads", "plain", "status", "other")
MODELS = 8
"""Most models with figures of their own at once: what is active, a canary, and some from before."""


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
        self.dead = Counter(
            "skylens_web_dead_letters", "Requests that no worker survived or could read", registry=self.registry
        )
        self.cached = Counter(
            "skylens_web_cached", "Images answered without a worker, as the same ones before", registry=self.registry
        )
        self.denied = Counter(
            "skylens_web_denied",
            "Requests refused for who sent them, or for how many they sent",
            ["reason"],
            registry=self.registry,
        )
        self.webhooks = Counter(
            "skylens_web_webhooks",
            "Attempts to deliver a webhook by what came of them, and webhooks given up",
            ["outcome"],
            registry=self.registry,
        )
        self.webhooks_pending = Gauge(
            "skylens_web_webhooks_pending", "Webhooks not delivered yet, as this node knows", registry=self.registry
        )
        self.incoming = Gauge(
            "skylens_web_incoming_bytes", "Room that bodies on their way in have, on disk", registry=self.registry
        )
        outstanding = Gauge("skylens_web_outstanding", "Images taken in and not answered", registry=self.registry)
        outstanding.set_function(lambda: demand.snapshot().outstanding)
        self.models = ModelMetrics(self.registry)
        self._of_status, self._of_route = cache(self.requests.labels), cache(self.seconds.labels)

    def answered(self, route: str, status: str, seconds: float) -> None:
        """Count a request and its time."""
        self._of_status(route, status).inc()
        self._of_route(route).observe(seconds)


class ModelMetrics:
    """What each version of a model answers, and how fast, so that a canary can be compared.

    The model that was not seen for longest gives its place to a new one, and its figures are gone.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self.results = Counter("skylens_web_results", "Images recognised by each model", ["model"], registry=registry)
        self.seconds = Histogram(
            "skylens_web_service_seconds",
            "Seconds of a worker's work on an image, from its start to its result",
            ["model"],
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
            registry=registry,
        )
        self.scores = Histogram(
            "skylens_web_top_score",
            "Score of the best label",
            ["model"],
            buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1),
            registry=registry,
        )

    def note(self, result: Result) -> None:
        """Count one answer."""
        with self._lock:
            self._note(result, f"{result.model.name}@{result.model.version}")

    def _note(self, result: Result, model: str) -> None:
        self._seen[model] = None
        self._seen.move_to_end(model)
        if len(self._seen) > MODELS:
            oldest, _ = self._seen.popitem(last=False)
            for metric in (self.results, self.seconds, self.scores):
                metric.remove(oldest)
        self.results.labels(model).inc()
        self.seconds.labels(model).observe((result.timings.finished - result.timings.started).total_seconds())
        if result.labels:
            self.scores.labels(model).observe(result.labels[0].score)
        else:
            self.scores.labels(model)
