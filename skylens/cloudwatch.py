"""CloudWatch behind a narrow protocol: publish the deployment's metrics, read the CPU of its instances."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from skylens.clock import Clock
from skylens.messages import moment

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

NAMESPACE = "Skylens"
DIMENSION = "Deployment"
"""Of the published metrics; its value is the deployment's name."""
MOST_QUERIES = 500
"""How many metrics one call of GetMetricData reads."""
CPU_PERIOD = 60
"""Seconds that one value of ``cpu`` covers; with basic monitoring EC2 tells one only every fifth time."""
CPU_WINDOW = 900
"""Seconds to look back for an instance's latest value: a period of basic monitoring, and CloudWatch's own delay."""


class Cpu(NamedTuple):
    """``percent``: mean over the instances; ``age``: seconds since the period of the oldest value in it began."""

    percent: float
    age: float


class CloudWatch(Protocol):
    """Calls raise what boto3 raises."""

    def publish(self, values: Mapping[str, float]) -> None:
        """One value of each metric, by name, as of now; in one call."""
        ...

    def cpu(self, instances: Collection[str]) -> Cpu | None:
        """The mean of each instance's latest CPUUtilization; None when none of them has told any lately."""
        ...


class AwsCloudWatch:
    """The real thing. Published metrics are stored by the second, which alarms with periods below a minute need."""

    def __init__(self, client: "CloudWatchClient", deployment: str, clock: Clock) -> None:
        self._client, self._deployment, self._clock = client, deployment, clock

    def publish(self, values: Mapping[str, float]) -> None:
        self._client.put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": DIMENSION, "Value": self._deployment}],
                    "Timestamp": moment(self._clock.now()),
                    "Value": value,
                    "StorageResolution": 1,
                }
                for name, value in values.items()
            ],
        )

    def cpu(self, instances: Collection[str]) -> Cpu | None:
        now, ids = moment(self._clock.now()), sorted(instances)
        latest: list[tuple[datetime, float]] = []
        for start in range(0, len(ids), MOST_QUERIES):
            latest += self._latest(ids[start : start + MOST_QUERIES], now)
        if not latest:
            return None
        oldest = min(when for when, _ in latest)
        return Cpu(sum(percent for _, percent in latest) / len(latest), (now - oldest).total_seconds())

    def _latest(self, instances: Sequence[str], now: datetime) -> list[tuple[datetime, float]]:
        """The start of the period and the value that each instance told last; a long answer comes in pages."""
        pages = self._client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[_cpu_query(f"m{number}", one) for number, one in enumerate(instances)],
            StartTime=now - timedelta(seconds=CPU_WINDOW),
            EndTime=now,
        )
        latest: dict[str, tuple[datetime, float]] = {}
        for page in pages:
            for result in page["MetricDataResults"]:
                for told in zip(result["Timestamps"], result["Values"], strict=True):
                    latest[result["Id"]] = max(told, latest.get(result["Id"], told))
        return list(latest.values())


def _cpu_query(name: str, instance: str) -> "MetricDataQueryTypeDef":
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/EC2",
                "MetricName": "CPUUtilization",
                "Dimensions": [{"Name": "InstanceId", "Value": instance}],
            },
            "Period": CPU_PERIOD,
            "Stat": "Average",
        },
    }
