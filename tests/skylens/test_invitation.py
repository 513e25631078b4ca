"""Presigned uploads: the signature binds key, type, length and checksum, and the emulated S3 takes what it should."""

import hashlib
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from skylens.aws import Aws
from skylens.store import S3Store, Wanted

DATA = b"as large as an image may be"
WANTED = Wanted("image/png", len(DATA), hashlib.sha256(DATA).digest())


@pytest.fixture
def store(emulator, monkeypatch):
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", emulator)
    client = Aws("us-east-1").s3()
    client.create_bucket(Bucket="invited")
    return S3Store(client, "invited")


def put(invitation, data, **headers):
    return httpx2.put(invitation.url, content=data, headers=invitation.headers | headers, trust_env=False).status_code


def test_what_was_announced_is_stored_where_it_was_invited_to(store):
    assert put(store.invite("acme/uploads/1", WANTED, 60), DATA) == 200
    assert store.get("acme/uploads/1").data == DATA


def test_it_is_stored_once(store):
    invitation = store.invite("acme/uploads/4", WANTED, 60)
    assert [put(invitation, DATA) for _ in range(3)] == [200, 412, 412]


def test_other_bytes_are_not_what_was_announced(store):
    assert put(store.invite("acme/uploads/2", WANTED, 60), DATA[::-1]) == 400
    assert store.get("acme/uploads/2") is None


def test_the_signature_binds_all_that_was_announced(store):
    """AWS refuses a request without a signed header, or with another value of it; the emulator does not look."""
    asked = urlsplit(store.invite("acme/uploads/3", WANTED, 60).url)
    query = parse_qs(asked.query)
    assert asked.path == "/invited/acme/uploads/3"
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-SignedHeaders"] == ["content-length;content-type;host;if-none-match;x-amz-checksum-sha256"]


def test_another_size_type_checksum_or_key_is_another_signature(store):
    def signature(key="acme/uploads/3", **changes):
        return parse_qs(urlsplit(store.invite(key, WANTED._replace(**changes), 60).url).query)["X-Amz-Signature"]

    changed = [
        signature(size=1),
        signature(content_type="image/webp"),
        signature(sha256=bytes(32)),
        signature("other/1"),
    ]
    assert signature() not in changed
