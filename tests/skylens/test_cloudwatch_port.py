"""What is promised of CloudWatch: by the fake and by the adapter on moto alike, then what the adapter sends."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from skylens.clock import FakeClock
from skylens.cloudwatch import MOST_QUERIES, AwsCloudWatch, Cpu
from skylens.fakes import FakeCloudWatch

NOW = datetime(2030, 1, 1, 12, 0, 30, tzinfo=UTC)


class Bench:
    """One of both, and a way to let an instance tell a load of some seconds ago."""

    def __init__(self, kind):
        clock = FakeClock(NOW.timestamp()).clock()
        self.client = boto3.client("cloudwatch", region_name="us-east-1") if kind == "moto" else None
        self.port = AwsCloudWatch(self.client, "d", clock) if self.client else FakeCloudWatch(clock)

    def tells(self, instance, percent, age=60):
        if self.client is None:
            self.port.load[instance] = Cpu(percent, age)
            return
        self.client.put_metric_data(
            Namespace="AWS/EC2",
            MetricData=[
                {
                    "MetricName": "CPUUtilization",
                    "Dimensions": [{"Name": "InstanceId", "Value": instance}],
                    "Timestamp": NOW - timedelta(seconds=age),
                    "Value": percent,
                }
            ],
        )


@pytest.fixture(params=["fake", "moto"])
def bench(request):
    with mock_aws():
        yield Bench(request.param)


def test_the_load_is_the_mean_over_the_instances_asked_for(bench):
    for instance, percent in {"i-1": 20.0, "i-2": 80.0, "i-3": 100.0}.items():
        bench.tells(instance, percent)
    assert bench.port.cpu(["i-1", "i-2"]).percent == 50.0


def test_its_age_is_that_of_the_oldest_value_in_it(bench):
    bench.tells("i-1", 20.0, age=60)
    bench.tells("i-2", 40.0, age=300)
    assert bench.port.cpu(["i-1", "i-2"]) == pytest.approx((30.0, 300.0), abs=60)


def test_one_that_has_told_nothing_does_not_count(bench):
    bench.tells("i-1", 20.0)
    assert bench.port.cpu(["i-1", "i-new"]).percent == 20.0


@pytest.mark.parametrize("instances", [[], ["i-new"]])
def test_nothing_told_is_no_load_of_zero(bench, instances):
    assert bench.port.cpu(instances) is None


def test_the_latest_value_of_an_instance_counts():
    with mock_aws():
        bench = Bench("moto")
        for age, percent in ((240, 90.0), (60, 10.0), (120, 50.0)):
            bench.tells("i-1", percent, age)
        assert bench.port.cpu(["i-1"]).percent == 10.0


def test_what_is_told_too_long_ago_does_not_count():
    with mock_aws():
        bench = Bench("moto")
        bench.tells("i-1", 90.0, age=1000)
        assert bench.port.cpu(["i-1"]) is None


class Pages:
    """A client that answers GetMetricData in prepared pages; ``asked``: the number of queries of each call."""

    def __init__(self, *pages):
        self.asked, self._pages = [], pages

    def get_paginator(self, _):
        return SimpleNamespace(paginate=self._paginate)

    def _paginate(self, MetricDataQueries, **_):  # noqa: N803 - boto3's name
        self.asked.append(len(MetricDataQueries))
        return self._pages


def result(name, age, value):
    return {"Id": name, "Timestamps": [NOW - timedelta(seconds=age)], "Values": [value]}


def port(client):
    return AwsCloudWatch(client, "d", FakeClock(NOW.timestamp()).clock())


def test_an_instance_whose_values_come_in_two_pages_counts_once():
    pages = Pages(
        {"MetricDataResults": [result("m0", 60, 10.0)]},
        {"MetricDataResults": [result("m0", 120, 90.0), result("m1", 60, 30.0)]},
    )
    assert port(pages).cpu(["i-1", "i-2"]) == (20.0, 60.0)


def test_a_large_fleet_takes_as_many_calls_as_it_must():
    pages = Pages({"MetricDataResults": []})
    port(pages).cpu([f"i-{number}" for number in range(2 * MOST_QUERIES + 1)])
    assert pages.asked == [MOST_QUERIES, MOST_QUERIES, 1]


def test_metrics_are_published_in_one_call_of_the_deployment_by_the_second():
    sent = []
    port(SimpleNamespace(put_metric_data=lambda **call: sent.append(call))).publish({"Demand": 3, "Unserved": 0})
    common = {"Dimensions": [{"Name": "Deployment", "Value": "d"}], "Timestamp": NOW, "StorageResolution": 1}
    assert sent == [
        {
            "Namespace": "Skylens",
            "MetricData": [
                {"MetricName": "Demand", "Value": 3, **common},
                {"MetricName": "Unserved", "Value": 0, **common},
            ],
        }
    ]


def test_the_fake_remembers_what_was_published_and_when():
    clock = FakeClock(100.0)
    fake = FakeCloudWatch(clock.clock())
    fake.publish({"Demand": 3})
    assert fake.published == [(100.0, {"Demand": 3})]
