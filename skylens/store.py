"""One S3 bucket as the tiers use it, behind a narrow protocol."""

import base64
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from botocore.exceptions import ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from skylens.aws_errors import is_empty, is_exists, is_gone
from skylens.errors import MessageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


RECORD = 4 * 1024**2
"""Most bytes of an object that is no image and no model: a dead letter, which has a message of a MiB in it, is less.
Whoever may write a bucket is not to fill the memory of those that read it."""


class Object(NamedTuple):
    """An object's bytes, the ETag that names this version of it, and its age in seconds by S3's own clock."""

    data: bytes
    etag: str
    age: float


class Wanted(NamedTuple):
    """What is to be stored: media type, bytes, SHA-256 of them (raw)."""

    content_type: str
    size: int
    sha256: bytes


class Invitation(NamedTuple):
    """A presigned ``PUT``: it needs exactly these headers."""

    url: str
    headers: dict[str, str]


def check_size(key: str, size: int, most: int) -> None:
    if size > most:
        raise MessageError(f"object {key[:200]!r} has {size:,} bytes; at most {most:,} are read")


class Store(Protocol):
    """A bucket: whole objects, strongly consistent, conditional writes."""

    def put(self, key: str, data: bytes, content_type: str) -> None: ...

    def put_if(self, key: str, data: bytes, content_type: str, *, etag: str | None) -> str | None:
        """Write only if the object is still that version (``None``: only if there is none). The new ETag, or None."""
        ...

    def get(self, key: str, most: int = RECORD) -> Object | None:
        """The object, or None when there is none. Raises MessageError, and reads nothing, beyond ``most`` bytes."""
        ...

    def size(self, key: str) -> int | None:
        """Bytes of the object, or None when there is none."""
        ...

    def start(self, key: str, most: int) -> bytes | None:
        """The object's first bytes, at most so many, or None when there is none."""
        ...

    def invite(self, key: str, wanted: Wanted, seconds: int) -> Invitation:
        """Let anybody who has it store that object, and no other, for so long, unless it is there. Asks nobody."""
        ...

    def copy(self, source: str, key: str) -> bool:
        """Copy within the bucket; False when there is no ``source``."""
        ...

    def delete(self, key: str) -> None: ...

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Keys that start with ``prefix``, in order, from just past ``after``."""
        ...


class S3Store:
    """The real thing."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client, self.bucket = client, bucket

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self._client.put_object(Bucket=self.bucket, Key=key, Body=data, ContentType=content_type)

    def put_if(self, key: str, data: bytes, content_type: str, *, etag: str | None) -> str | None:
        try:
            if etag is None:
                answer = self._client.put_object(
                    Bucket=self.bucket, Key=key, Body=data, ContentType=content_type, IfNoneMatch="*"
                )
            else:
                answer = self._client.put_object(
                    Bucket=self.bucket, Key=key, Body=data, ContentType=content_type, IfMatch=etag
                )
        except ClientError as error:
            if is_exists(error) or is_gone(error):
                return None
            raise
        return answer["ETag"]

    def get(self, key: str, most: int = RECORD) -> Object | None:
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        except HTTPError as error:  # of a refusal whose body broke off, which botocore reads unguarded
            raise HTTPClientError(error=error) from error
        try:
            check_size(key, answer["ContentLength"], most)
        except MessageError:
            answer["Body"].close()
            raise
        asked = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return Object(answer["Body"].read(), answer["ETag"], (asked - answer["LastModified"]).total_seconds())

    def size(self, key: str) -> int | None:
        # A listing, not HEAD: HEAD's bare 404 does not tell a missing object from a missing bucket.
        page = self._client.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1)
        return next((entry["Size"] for entry in page.get("Contents", []) if entry["Key"] == key), None)

    def start(self, key: str, most: int) -> bytes | None:
        try:
            return self._client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes=0-{most - 1}")["Body"].read()
        except ClientError as error:
            if is_gone(error):
                return None
            if is_empty(error):
                return b""
            raise
        except HTTPError as error:  # as in ``get``
            raise HTTPClientError(error=error) from error

    def invite(self, key: str, wanted: Wanted, seconds: int) -> Invitation:
        digest = base64.b64encode(wanted.sha256).decode()
        named = {"Bucket": self.bucket, "Key": key, "ContentType": wanted.content_type}
        url = self._client.generate_presigned_url(
            "put_object",
            Params={**named, "ContentLength": wanted.size, "ChecksumSHA256": digest, "IfNoneMatch": "*"},
            ExpiresIn=seconds,
            HttpMethod="PUT",
        )
        headers = {"Content-Type": wanted.content_type, "Content-Length": str(wanted.size)}
        return Invitation(url, headers | {"x-amz-checksum-sha256": digest, "If-None-Match": "*"})

    def copy(self, source: str, key: str) -> bool:
        try:
            self._client.copy_object(Bucket=self.bucket, Key=key, CopySource={"Bucket": self.bucket, "Key": source})
        except ClientError as error:
            if is_gone(error):
                return False
            raise
        return True

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=key)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, StartAfter=after
        )
        for page in pages:
            yield from (entry["Key"] for entry in page.get("Contents", []))
