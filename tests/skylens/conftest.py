"""The AWS ports as their tests get them. One suite runs over the fakes and over the real adapters against an emulator.

What holds here for both is what the tiers may rely on; a fake that drifted from the real thing would fail.
"""

import os
import socket
import subprocess
import sys
import uuid

import httpx2
import pytest
from port_suite import MAX_RECEIVES, until

from skylens.aws import Aws
from skylens.fakes import FakeQueue, FakeQueues, FakeStore
from skylens.queues import SqsQueue, SqsQueues
from skylens.quick_sqs import quick, quick_queues
from skylens.quick_store import QuickStore
from skylens.store import S3Store


@pytest.fixture(scope="session")
def emulator(tmp_path_factory):
    """The address of an emulated S3 and SQS, in a child process on a free port of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "s3,sqs"}
    off = {"IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "DOCKER_HOST": "unix:///dev/null/no-docker"}
    folder = tmp_path_factory.mktemp("emulator")
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=os.environ | quiet | off, cwd=folder, stdout=log, stderr=log
        )

    def healthy():
        assert child.poll() is None, (folder / "log").read_text()
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/_ministack/health", trust_env=False).is_success
        except httpx2.TransportError:
            return False

    try:
        until(healthy)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@pytest.fixture
def aws(emulator, monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL_S3": emulator,
        "AWS_ENDPOINT_URL_SQS": emulator,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    return Aws("us-east-1")


@pytest.fixture(params=["fake", "boto3", "quick"])
def kind(request):
    return request.param


@pytest.fixture
def queues(kind, request):
    if kind == "fake":
        return FakeQueues()
    aws = request.getfixturevalue("aws")
    return quick_queues(aws) if kind == "quick" else SqsQueues(aws.sqs(), aws.sqs_polling())


@pytest.fixture
def make_queue(kind, request):
    """A queue and its dead-letter queue."""

    def make(visibility=30):
        if kind == "fake":
            dead = FakeQueue()
            return FakeQueue(visibility=visibility, dead=dead, max_receives=MAX_RECEIVES), dead
        aws = request.getfixturevalue("aws")
        client, polling, name = aws.sqs(), aws.sqs_polling(), uuid.uuid4().hex
        if kind == "quick":
            client, polling = quick(client, aws.session), quick(polling, aws.session)
        dead = client.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"{MAX_RECEIVES}"}}'
        url = client.create_queue(
            QueueName=name, Attributes={"VisibilityTimeout": str(visibility), "RedrivePolicy": redrive}
        )["QueueUrl"]
        return SqsQueue(client, polling, url), SqsQueue(client, polling, dead)

    return make


@pytest.fixture
def queue(make_queue):
    return make_queue()[0]


@pytest.fixture(params=["fake", "boto3", "obstore"])
def store(request):
    if request.param == "fake":
        return FakeStore()
    aws, bucket = request.getfixturevalue("aws"), f"b-{uuid.uuid4().hex}"
    client = aws.s3()
    client.create_bucket(Bucket=bucket)
    return S3Store(client, bucket) if request.param == "boto3" else QuickStore(client, aws.session, bucket)
