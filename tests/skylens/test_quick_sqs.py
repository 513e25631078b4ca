"""The quick calls to SQS: when they are made, and that boto3 makes anew what did not go well."""

import json
from http.server import BaseHTTPRequestHandler

import pytest
from loopback import Replying, serving

from skylens.aws import Aws
from skylens.queues import Outgoing, SqsQueue
from skylens.quick_sqs import QuickSqs, quick


@pytest.fixture
def sqs():
    """A server that answers with the first of ``plan``, then the next; ``seen``: what was asked, and by whom."""

    class Handler(Replying, BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.seen.append(
                (
                    self.headers["X-Amz-Target"],
                    asked,
                    "boto3" if "Boto3" in self.headers.get("User-Agent", "") else "quick",
                    self.headers["Authorization"],
                )
            )
            status, headers, body = self.server.plan.pop(0)
            if status == 0:
                self.close_connection = True
                return
            self.reply(status, body, headers)

    with serving(Handler) as server:
        server.seen, server.plan = [], []
        yield server


@pytest.fixture
def queue(sqs, monkeypatch):
    url = f"http://127.0.0.1:{sqs.server_port}"
    for name, value in {
        "AWS_ENDPOINT_URL_SQS": url,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    aws = Aws("eu-west-1")
    client = quick(aws.sqs(), aws.session)
    assert isinstance(client, QuickSqs)
    return SqsQueue(client, client, f"{url}/1/q")


FROM_AWS = {"x-amzn-RequestId": "1", "Content-Type": "application/x-amz-json-1.0"}
TAKEN = (200, FROM_AWS, b'{"MessageId": "m"}')


def test_a_call_that_goes_well_is_one_signed_request(sqs, queue):
    sqs.plan = [TAKEN]
    queue.send(b"x")
    ((target, asked, who, signed),) = sqs.seen
    assert (target, asked["MessageBody"], who) == ("AmazonSQS.SendMessage", "x", "quick")
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/")
    assert "/eu-west-1/sqs/aws4_request" in signed


@pytest.mark.parametrize(
    "trouble",
    [
        (0, {}, b""),
        (500, FROM_AWS, b"{}"),
        (503, {}, b"busy"),
        (400, FROM_AWS, b'{"__type": "com.amazonaws.sqs#ThrottlingException"}'),
        (200, {}, b'{"MessageId": "m"}'),
        (200, FROM_AWS, b"<html>"),
        (200, FROM_AWS, b"[]"),
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
    ],
)
def test_what_does_not_go_well_is_done_anew_by_boto3(sqs, queue, trouble):
    sqs.plan = [trouble, TAKEN]
    queue.send(b"x", "acme")
    assert [who for _, _, who, _ in sqs.seen] == ["quick", "boto3"]
    assert sqs.seen[0][:2] == sqs.seen[1][:2]
    assert sqs.seen[0][1]["MessageGroupId"] == "acme"


def test_each_message_of_a_call_has_its_own_group_or_none(sqs, queue):
    sqs.plan = [(200, FROM_AWS, b'{"Successful": []}')]
    queue.send_many([Outgoing(b"x", "acme"), Outgoing(b"y", "globex"), Outgoing(b"z")])
    assert [entry.get("MessageGroupId") for entry in sqs.seen[0][1]["Entries"]] == ["acme", "globex", None]


def test_a_text_that_is_no_unicode_is_for_boto3(sqs, queue):
    sqs.plan = [TAKEN]
    queue._client.send_message(QueueUrl=queue.url, MessageBody="\ud800")
    assert [who for _, _, who, _ in sqs.seen] == ["boto3"]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_is_for_boto3(monkeypatch, queue, name):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    aws = Aws("eu-west-1")
    assert not isinstance(quick(aws.sqs(), aws.session), QuickSqs)


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_authorities_of_ones_own_are_for_boto3(monkeypatch, tmp_path, name):
    monkeypatch.delenv("AWS_ENDPOINT_URL_SQS", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for kind in ("HTTPS_PROXY", "https_proxy", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(kind, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    aws = Aws("eu-west-1")
    assert isinstance(quick(aws.sqs(), aws.session), QuickSqs)
    monkeypatch.setenv(name, str(tmp_path / "ca.pem"))
    assert not isinstance(quick(Aws("eu-west-1").sqs(), aws.session), QuickSqs)
