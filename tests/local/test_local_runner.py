import base64
from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError

from skylens.clock import FakeClock
from skylens.fakes import aws_error
from skylens.local.metadata import Registry
from skylens.local.runner import Runner


class FakeEc2:
    """DescribeInstances and its friends over a dict of instances; ``failures`` are raised first."""

    def __init__(self):
        self.on, self.failures, self.terminated = {}, [], []

    def launch(self, name, user_data="SKYLENS_DEPLOYMENT=local\n", **tags):
        self.on[name] = {"user_data": user_data, "tags": tags}

    def get_paginator(self, _):
        return SimpleNamespace(paginate=self._pages)

    def _pages(self, Filters):  # noqa: N803 - boto3's name
        if self.failures:
            raise self.failures.pop()
        described = [
            {"InstanceId": name, "Tags": [{"Key": key, "Value": value} for key, value in one["tags"].items()]}
            for name, one in self.on.items()
        ]
        return [{"Reservations": [{"Instances": described}]}]

    def describe_instance_attribute(self, InstanceId, Attribute):  # noqa: N803 - boto3's names
        return {"UserData": {"Value": base64.b64encode(self.on[InstanceId]["user_data"].encode()).decode()}}

    def terminate_instances(self, InstanceIds):  # noqa: N803 - boto3's name
        self.terminated += InstanceIds
        for one in InstanceIds:
            del self.on[one]


class FakeChild:
    """A worker process that ends when a test says so, or on SIGTERM unless it is ``stubborn``."""

    def __init__(self, instance):
        self.name, self.pid, self.running, self.stubborn = f"worker-{instance}", 1, True, False
        self.process = SimpleNamespace(returncode=None)
        self.signals = []

    def end(self, status):
        self.running, self.process.returncode = False, status

    def ending(self):
        return f"status {self.process.returncode}"

    def tail(self, _):
        return "no such model"

    def terminate(self):
        self.signals.append("TERM")
        if not self.stubborn:
            self.end(0)

    def kill(self):
        self.signals.append("KILL")
        self.end(-9)


class Bench:
    def __init__(self):
        self.ec2, self.time, self.said, self.started = FakeEc2(), FakeClock(), [], {}
        self.registry = Registry(self.time.clock())
        self.runner = Runner(
            self.ec2, self._start, self.registry, self.said.append, boot_seconds=5, clock=self.time.clock()
        )

    def _start(self, instance):
        self.started[instance] = FakeChild(instance)
        return self.started[instance]

    def tick(self, after=0.0):
        self.time.sleep(after)
        self.runner.tick()

    def boot(self, name, **tags):
        self.ec2.launch(name, **tags)
        self.tick()
        self.tick(after=5)
        return self.started[name]

    def read(self, instance, path):
        token = self.registry.token(instance, 60)
        return self.registry.read(instance, token, path)


@pytest.fixture
def bench():
    return Bench()


def test_an_instance_gets_its_worker_only_after_its_boot(bench):
    bench.ec2.launch("i-1")
    bench.tick()
    bench.tick(after=4.9)
    assert bench.started == {}
    bench.tick(after=0.1)
    assert bench.started.keys() == {"i-1"}
    bench.tick(after=60)
    assert bench.runner.workers() == {"i-1": 1}


def test_an_instance_that_is_terminated_while_it_boots_never_gets_a_worker(bench):
    bench.ec2.launch("i-1")
    bench.tick()
    del bench.ec2.on["i-1"]
    bench.tick(after=5)
    bench.tick(after=5)
    assert bench.started == {}
    assert bench.registry.token("i-1", 60) is None


@pytest.mark.parametrize("status", [0, 1, -9])
def test_a_worker_that_ends_in_whatever_way_ends_its_instance(bench, status):
    worker = bench.boot("i-1")
    worker.end(status)
    bench.tick()
    assert bench.ec2.terminated == ["i-1"]
    assert bench.runner.workers() == {}
    assert ["no such model" in line for line in bench.said] == ([True] if status else [])


def test_terminating_an_instance_asks_its_worker_to_leave(bench):
    worker = bench.boot("i-1")
    del bench.ec2.on["i-1"]
    bench.tick()
    assert worker.signals == ["TERM"]
    bench.tick(after=60)
    assert worker.signals == ["TERM"]
    assert bench.ec2.terminated == []


def test_a_worker_that_ignores_the_end_of_its_instance_is_killed_after_ten_seconds(bench):
    worker = bench.boot("i-1")
    worker.stubborn = True
    del bench.ec2.on["i-1"]
    bench.tick()
    bench.tick(after=9.9)
    assert worker.signals == ["TERM"]
    assert bench.runner.children() == [worker]
    bench.tick(after=0.1)
    bench.tick()
    assert worker.signals == ["TERM", "KILL"]
    assert bench.runner.children() == []


def test_metadata_answer_until_the_worker_of_a_terminated_instance_is_gone(bench):
    worker = bench.boot("i-1")
    worker.stubborn = True
    del bench.ec2.on["i-1"]
    bench.tick()
    assert bench.read("i-1", "meta-data/instance-id")[1] == "i-1"
    worker.end(0)
    bench.tick()
    assert bench.registry.token("i-1", 60) is None


def test_an_instance_stopped_and_started_again_keeps_its_metadata_when_its_old_worker_leaves(bench):
    old = bench.boot("i-1")
    old.stubborn = True
    del bench.ec2.on["i-1"]
    bench.tick()
    bench.ec2.launch("i-1")
    bench.tick()
    old.end(0)
    bench.tick()
    bench.tick(after=5)
    assert bench.read("i-1", "meta-data/instance-id")[1] == "i-1"
    assert bench.runner.children() == [bench.started["i-1"]]


def test_user_data_and_a_later_tag_are_seen_through_metadata(bench):
    bench.boot("i-1")
    assert bench.read("i-1", "user-data")[1] == "SKYLENS_DEPLOYMENT=local\n"
    assert bench.read("i-1", "meta-data/tags/instance/skylens:state")[0] == 404
    bench.ec2.on["i-1"]["tags"]["skylens:state"] = "draining"
    bench.tick()
    assert bench.read("i-1", "meta-data/tags/instance/skylens:state")[1] == "draining"


def test_an_ec2_that_does_not_answer_ends_no_worker(bench):
    worker = bench.boot("i-1")
    bench.ec2.failures = [EndpointConnectionError(endpoint_url="http://x")]
    bench.tick()
    assert worker.signals == []
    assert bench.runner.workers() == {"i-1": 1}


def test_a_termination_that_fails_is_repeated(bench):
    bench.boot("i-1").end(0)
    answers = [aws_error("RequestLimitExceeded", 503)]
    real = bench.ec2.terminate_instances

    def refuse_once(InstanceIds):  # noqa: N803 - boto3's name
        if answers:
            raise answers.pop()
        real(InstanceIds)

    bench.ec2.terminate_instances = refuse_once
    bench.tick()
    assert bench.ec2.terminated == []
    bench.tick()
    assert bench.ec2.terminated == ["i-1"]


def test_an_error_that_waiting_cannot_help_is_not_hidden(bench):
    bench.ec2.failures = [aws_error("AccessDenied", 403)]
    with pytest.raises(Exception, match="AccessDenied"):
        bench.tick()
