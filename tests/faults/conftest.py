import os

import boto3
import pytest
from botocore.config import Config
from fault_proxy import proxying

from skylens.local import children, environment
from skylens.local.emulators import Emulators
from skylens.local.probe import Probe


@pytest.fixture(scope="session")
def emulators(tmp_path_factory):
    """The emulators, as the embedded cloud runs them."""
    folder = tmp_path_factory.mktemp("emulators")
    made, probe = Emulators(environment.base(os.environ, folder), folder, folder), Probe(lambda: False)
    made.start()
    try:
        made.await_ready(probe)
        yield made
    finally:
        children.kill(made.children, print)
        made.close()
        probe.close()


class Behind:
    """boto3 clients behind one proxy, and before it."""

    def __init__(self, proxy, upstream):
        self.proxy, self._upstream = proxy, upstream

    def client(self, service, tries=1, address=None):
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=address or self.proxy.url,
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(
                read_timeout=10,
                retries={"mode": "standard", "total_max_attempts": tries},
                s3={"addressing_style": "path"} if service == "s3" else {},
            ),
        )

    def direct(self, service):
        return self.client(service, address=self._upstream)


@pytest.fixture
def behind(emulators):
    """``behind(plan)``: a proxy before ministack; ``behind(plan, "control")``: before moto."""
    running = []

    def make(plan=None, which="data"):
        upstream = getattr(emulators, which).url
        held = proxying(upstream, plan)
        running.append(held)
        return Behind(held.__enter__(), upstream)

    yield make
    for held in running:
        held.__exit__(None, None, None)


@pytest.fixture
def queue(behind, request):
    """The address of a queue of the test's own."""
    sqs = behind().direct("sqs")
    url = sqs.create_queue(QueueName=f"queue-{abs(hash(request.node.nodeid))}")["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def bucket(behind, request):
    """A bucket of the test's own."""
    name = f"bucket-{abs(hash(request.node.nodeid))}"
    behind().direct("s3").create_bucket(Bucket=name)
    return name
