"""boto3 clients as this product needs them: short timeouts, botocore's own retries, a pool as wide as the threads."""

import os
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config

from skylens.aws_errors import Parsers, refuse_foreign

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

LONG_POLL = 20
"""Seconds a ReceiveMessage may wait: SQS's maximum."""


class Aws:
    """Makes clients. Build them in ``main`` before any thread starts; each client is thread-safe from then on."""

    def __init__(self, region: str, *, pool: int = 32) -> None:
        """``pool``: connections kept open per client, as many as threads that call at once."""
        core = botocore.session.get_session()
        core.register_component("response_parser_factory", Parsers())
        self._session = boto3.session.Session(region_name=region, botocore_session=core)
        self._session.events.register("after-call", refuse_foreign)
        self._pool = pool

    def _config(self, read: float, connect: float = 3, attempts: int = 3) -> Config:
        return Config(
            connect_timeout=connect,
            read_timeout=read,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=self._pool,
            tcp_keepalive=True,
            s3={"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL_S3") else {},
        )

    @property
    def session(self) -> boto3.session.Session:
        """Whose credentials the clients use."""
        return self._session

    def s3(self) -> "S3Client":
        """Also presigned URLs are signed by version 4: version 2, still botocore's default, leaves the length out."""
        return self._session.client("s3", config=self._config(read=20).merge(Config(signature_version="s3v4")))

    def sqs(self) -> "SQSClient":
        return self._session.client("sqs", config=self._config(read=10))

    def sqs_polling(self) -> "SQSClient":
        """A client for long polls only: its reads outlast the longest wait."""
        return self._session.client("sqs", config=self._config(read=LONG_POLL + 10))

    def ec2(self, seconds: float) -> "EC2Client":
        """A client whose calls are one try of at most ``seconds``: who acts under a lease must know when a call ends.

        Its user asks again, with the same client token where that matters.
        """
        return self._session.client("ec2", config=self._one_try(seconds))

    def sqs_once(self, seconds: float) -> "SQSClient":
        """A client whose calls are one try of at most ``seconds``: for a loop that must not wait for SQS."""
        return self._session.client("sqs", config=self._one_try(seconds))

    def autoscaling(self, seconds: float) -> "AutoScalingClient":
        """A client whose calls are one try of at most ``seconds``, as those of ``ec2`` are."""
        return self._session.client("autoscaling", config=self._one_try(seconds))

    def cloudwatch(self, seconds: float) -> "CloudWatchClient":
        """A client whose calls are one try of at most ``seconds``, as those of ``ec2`` are."""
        return self._session.client("cloudwatch", config=self._one_try(seconds))

    def _one_try(self, seconds: float) -> Config:
        return self._config(read=seconds * 4 / 5, connect=seconds / 5, attempts=1)
