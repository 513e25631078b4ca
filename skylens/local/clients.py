"""boto3 clients for the emulators that read nothing from the environment or the home folder of whoever makes them."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_IGNORED = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
"""botocore's session variables (name in a file, in the environment, default, conversion) that would lead outside."""


class Clients:
    """Clients for the endpoints named in ``variables``, as ``environment.aws`` makes them; made in one thread."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._session = boto3.Session(
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_REGION"],
            botocore_session=botocore.session.Session(session_vars=_IGNORED),
        )
        self._config = Config(
            connect_timeout=3,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 3},
            proxies={},
            s3={"addressing_style": "path"},
        )

    def s3(self) -> "S3Client":
        return self._session.client("s3", config=self._config, endpoint_url=self._variables["AWS_ENDPOINT_URL_S3"])

    def sqs(self) -> "SQSClient":
        return self._session.client("sqs", config=self._config, endpoint_url=self._variables["AWS_ENDPOINT_URL_SQS"])

    def ec2(self) -> "EC2Client":
        return self._session.client("ec2", config=self._config, endpoint_url=self._variables["AWS_ENDPOINT_URL"])

    def autoscaling(self) -> "AutoScalingClient":
        return self._session.client(
            "autoscaling", config=self._config, endpoint_url=self._variables["AWS_ENDPOINT_URL"]
        )

    def cloudwatch(self) -> "CloudWatchClient":
        return self._session.client("cloudwatch", config=self._config, endpoint_url=self._variables["AWS_ENDPOINT_URL"])
