"""A proxy or a portal that answers in the place of AWS is an outage of AWS, whatever its status says."""

from http.server import BaseHTTPRequestHandler

import pytest
from loopback import Replying, serving

from skylens import quick_sqs
from skylens.aws import Aws
from skylens.aws_errors import AWS_ERRORS, Trouble, classify
from skylens.gathered import GatheredReplies
from skylens.instances import Ec2Instances
from skylens.queues import Outgoing, SqsQueue, SqsQueues
from skylens.quick_store import QuickStore
from skylens.store import S3Store

PAGES = {
    "whole": b"<html><body>Sign in</body></html>",
    "broken": b"<!DOCTYPE html><html><br><body>Sign in",
    "empty": b"",
}
NO_JSON_OBJECTS = {
    "latin": "<html><body>Zugang für Gäste</body></html>".encode("latin-1"),
    "list": b'["sign in"]',
    "words": b'"sign in"',
    "null": b"null",
    "of other types": b'{"Messages": ["sign in"], "QueueUrls": 1, "Failed": {}}',
}
"""What breaks botocore's parser of JSON."""
CALLS = {
    "send": lambda aws, url: queue(aws, url).send(b"x"),
    "receive": lambda aws, url: queue(aws, url).receive(1, wait=0),
    "delete": lambda aws, url: queue(aws, url).delete(["r"]),
    "counts": lambda aws, url: queue(aws, url).counts(),
    "named": lambda aws, _: SqsQueues(aws.sqs(), aws.sqs()).named("x"),
    "reply": lambda aws, _: SqsQueues(aws.sqs(), aws.sqs()).send("x", b"x"),
    "gathered reply": lambda aws, _: replies(aws).send("x", b"x"),
    "tagged": lambda aws, _: SqsQueues(aws.sqs(), aws.sqs()).tagged("x"),
    "quick send": lambda aws, url: quick_queue(aws, url).send(b"x"),
    "quick send of two": lambda aws, url: quick_queue(aws, url).send_many([Outgoing(b"x"), Outgoing(b"y")]),
    "quick receive": lambda aws, url: quick_queue(aws, url).receive(1, wait=0),
    "quick delete": lambda aws, url: quick_queue(aws, url).delete(["r"]),
    "put": lambda aws, _: S3Store(aws.s3(), "b").put("k", b"x", "text/plain"),
    "put_if": lambda aws, _: S3Store(aws.s3(), "b").put_if("k", b"x", "text/plain", etag=None),
    "get": lambda aws, _: S3Store(aws.s3(), "b").get("k"),
    "quick put": lambda aws, _: quick(aws).put("k", b"x", "text/plain"),
    "quick put_if": lambda aws, _: quick(aws).put_if("k", b"x", "text/plain", etag=None),
    "quick get": lambda aws, _: quick(aws).get("k"),
    "size": lambda aws, _: S3Store(aws.s3(), "b").size("k"),
    "copy": lambda aws, _: S3Store(aws.s3(), "b").copy("k", "l"),
    "keys": lambda aws, _: list(S3Store(aws.s3(), "b").keys("k")),
    "all": lambda aws, _: Ec2Instances(aws.ec2(5), "test", "t").all(),
    "launch": lambda aws, _: Ec2Instances(aws.ec2(5), "test", "t").launch(1, "token"),
}


def queue(aws, url):
    return SqsQueue(aws.sqs(), aws.sqs(), f"{url}/1/q")


def quick_queue(aws, url):
    client = quick_sqs.quick(aws.sqs(), aws.session)
    return SqsQueue(client, client, f"{url}/1/q")


def replies(aws):
    return GatheredReplies(SqsQueues(aws.sqs(), aws.sqs()), lambda: False, linger=0)


def quick(aws):
    return QuickStore(aws.s3(), aws.session, "b")


@pytest.fixture(scope="module")
def proxy():
    """A server that answers everything with its ``status`` and ``page``; its thread ends with the module."""

    class Handler(Replying, BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.reply(self.server.status, self.server.page, {"Content-Type": "text/html"})

        do_GET = do_PUT = do_POST  # noqa: N815 - the base class looks for these names

    with serving(Handler) as server:
        yield server


@pytest.fixture
def url(proxy, monkeypatch):
    address = f"http://127.0.0.1:{proxy.server_port}"
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SQS"):
        monkeypatch.setenv(name, address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return address


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("status", "page"), [*((200, page) for page in PAGES), (403, "whole"), (404, "broken")])
def test_an_answer_that_is_not_from_aws_is_an_outage(proxy, url, name, status, page):
    proxy.status, proxy.page = status, PAGES[page]
    with pytest.raises(AWS_ERRORS) as raised:
        CALLS[name](Aws("us-east-1"), url)
    assert classify(raised.value) is Trouble.UNREACHABLE


@pytest.mark.parametrize("name", ["send", "receive", "named", "quick receive"])
@pytest.mark.parametrize("page", NO_JSON_OBJECTS)
@pytest.mark.parametrize("status", [200, 403])
def test_what_is_no_json_of_sqs_is_an_outage_too(proxy, url, name, status, page):
    proxy.status, proxy.page = status, NO_JSON_OBJECTS[page]
    with pytest.raises(AWS_ERRORS) as raised:
        CALLS[name](Aws("us-east-1"), url)
    assert classify(raised.value) is Trouble.UNREACHABLE
