"""A bucket whose busiest calls go through obstore: an eighth of the CPU that boto3 takes (bench/aws_calls.py)."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import obstore
from botocore.exceptions import NoCredentialsError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError
from obstore.store import S3Store as Obstore

from skylens.aws_errors import NotAwsError, is_exists, is_gone, s3_error
from skylens.store import RECORD, Object, S3Store, check_size

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_s3 import S3Client

LARGE = 4 * 2**20
"""Bytes from which on boto3 writes: it waits for slow lines as long as they move, and costs little beside the bytes."""
PAGE = 1000
"""Keys that S3 lists in one answer, at most."""
_CREDENTIALS = timedelta(minutes=10)
"""How long credentials are used before boto3 is asked again; it gives none that end within ten minutes."""
_RETRIES = 2
"""As many as the boto3 clients make."""


def bucket_store(client: "S3Client", session: "boto3.session.Session", bucket: str) -> S3Store:
    """The store for buckets that every image goes through.

    boto3 alone, where authorities of one's own are set for HTTPS: obstore knows only the public ones.
    """
    own = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if own and client.meta.endpoint_url.startswith("https:"):
        return S3Store(client, bucket)
    return QuickStore(client, session, bucket)


class QuickStore(S3Store):
    """``put``, ``put_if`` for a new object, ``get`` and most listings by obstore; the rest by boto3.

    Raises what boto3 would raise.
    ``Object.age`` is by this machine's clock. obstore's own threads live as long as the process and hold nothing that
    a caller was not told of.
    """

    def __init__(self, client: "S3Client", session: "boto3.session.Session", bucket: str) -> None:
        """``session``: whose credentials to use. Raises NoCredentialsError when it has none."""
        super().__init__(client, bucket)
        if session.get_credentials() is None:
            raise NoCredentialsError
        endpoint = client.meta.endpoint_url
        self._quick = Obstore(
            bucket,
            endpoint=endpoint,
            region=client.meta.region_name,
            virtual_hosted_style_request=False,
            credential_provider=Boto3CredentialProvider(session, ttl=_CREDENTIALS),
            client_options={
                "allow_http": endpoint.startswith("http:"),
                "connect_timeout": timedelta(seconds=3),
                "read_timeout": timedelta(seconds=20),
                "timeout": timedelta(minutes=2),
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=20)},
        )

    def put(self, key: str, data: bytes, content_type: str) -> None:
        if len(data) >= LARGE:
            super().put(key, data, content_type)
            return
        try:
            obstore.put(self._quick, key, data, attributes={"Content-Type": content_type}, use_multipart=False)
        except (BaseError, OSError) as error:
            raise s3_error("PutObject", str(error)) from error

    def put_if(self, key: str, data: bytes, content_type: str, *, etag: str | None) -> str | None:
        if etag is not None or len(data) >= LARGE:
            return super().put_if(key, data, content_type, etag=etag)
        try:
            made = obstore.put(
                self._quick, key, data, attributes={"Content-Type": content_type}, mode="create", use_multipart=False
            )
        except (BaseError, OSError) as error:
            real = s3_error("PutObject", str(error))
            if is_exists(real):
                return None
            raise real from error
        return made["e_tag"]

    def get(self, key: str, most: int = RECORD) -> Object | None:
        try:
            found = obstore.get(self._quick, key)
            check_size(key, found.meta["size"], most)
            data = found.bytes().to_bytes()
        except (BaseError, OSError) as error:
            real = s3_error("GetObject", str(error))
            if is_gone(real):
                return None
            raise real from error
        if not found.meta["e_tag"]:
            raise NotAwsError(operation="GetObject", status=200)
        return Object(data, found.meta["e_tag"], (datetime.now(UTC) - found.meta["last_modified"]).total_seconds())

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """boto3 goes on where obstore cannot: it takes whole folders alone, and stops at keys that are no paths."""
        if prefix.endswith("/"):
            try:
                for page in obstore.list(self._quick, prefix, offset=after or None, chunk_size=PAGE):
                    for entry in page:
                        after = entry["path"]
                        yield after
            except (BaseError, OSError):
                pass  # boto3 finds the same, or raises what it is
            else:
                return
        yield from super().keys(prefix, after)
