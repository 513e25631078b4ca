"""Signatures of requests to AWS: the same as botocore's, whoever signs and when."""

from datetime import UTC, datetime

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from skylens.signer import Credentials, Signer

NOON = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
KEYS = Credentials("AKIAEXAMPLE", "secret/+=", "")
SESSION = Credentials("ASIAEXAMPLE", "another", "token//of+a==session")
KIND, TARGET = "application/x-amz-json-1.0", "AmazonSQS.SendMessage"


def botocores(monkeypatch, credentials, host, body, now):
    monkeypatch.setattr(auth, "get_current_datetime", lambda: now.replace(tzinfo=None))
    headers = {"Content-Type": KIND, "X-Amz-Target": TARGET}
    request = AWSRequest("POST", f"https://{host}/", headers=headers, data=body)
    signer = auth.SigV4Auth(BotoCredentials(*credentials[:2], credentials.token or None), "sqs", "eu-west-1")
    signer.add_auth(request)
    return request.headers["Authorization"]


@pytest.mark.parametrize("host", ["sqs.eu-west-1.amazonaws.com", "127.0.0.1:4566", "[::1]:4566"])
def test_one_signer_signs_as_botocore_does_whatever_changes_between_two_requests(monkeypatch, host):
    signer = Signer("sqs", "eu-west-1", host)
    for credentials, body, now in [
        (KEYS, b"{}", NOON),
        (KEYS, b"x" * 100_000, NOON),
        (SESSION, b"{}", NOON),
        (KEYS, b"{}", NOON.replace(day=2)),
        (KEYS._replace(secret="renewed"), b"{}", NOON.replace(day=2)),
    ]:
        made = signer.headers(credentials, TARGET, KIND, body, now)
        assert made["authorization"] == botocores(monkeypatch, credentials, host, body, now)
        assert made.get("x-amz-security-token", "") == credentials.token
        assert (made["host"], made["x-amz-target"], made["content-type"]) == (host, TARGET, KIND)
