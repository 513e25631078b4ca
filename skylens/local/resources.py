"""What the playbooks make in production, made in the embedded cloud: buckets, queues, the workers' launch template."""

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from skylens.aws_errors import is_exists
from skylens.local.clients import Clients
from skylens.settings import PREFIX, Settings

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

RECEIVES = 3
"""Deliveries after which a request goes to the dead-letter queue."""
EVENTS_RETENTION = 300
"""Seconds a worker event is kept: older ones say nothing about now."""
DEAD_RETENTION = 14 * 86400
IMAGE = "ami-00000000000000000"


def create(clients: Clients, settings: Settings, user_data: Mapping[str, object]) -> None:
    """Make everything that is missing; doing it twice changes nothing. ``user_data``: settings of the workers."""
    _buckets(clients.s3(), settings)
    _queues(clients.sqs(), settings)
    _template(clients.ec2(), settings, user_data)


def user_data_lines(settings: Mapping[str, object]) -> str:
    """``SKYLENS_NAME=value`` lines, as ``skylens worker`` reads them from its instance's user-data."""
    return "".join(f"{PREFIX}{name.upper()}={value}\n" for name, value in settings.items())


def _buckets(client: "S3Client", settings: Settings) -> None:
    for bucket in (settings.bucket("input"), settings.bucket("output"), settings.bucket("state")):
        client.create_bucket(Bucket=bucket)


def _queues(client: "SQSClient", settings: Settings) -> None:
    dead = _queue(client, settings.queue("requests-dead"), {"MessageRetentionPeriod": str(DEAD_RETENTION)})
    arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = {"deadLetterTargetArn": arn, "maxReceiveCount": RECEIVES}
    _queue(
        client,
        settings.queue("requests"),
        {"VisibilityTimeout": str(settings.visibility_timeout), "RedrivePolicy": json.dumps(redrive)},
    )
    _queue(client, settings.queue("events"), {"MessageRetentionPeriod": str(EVENTS_RETENTION)})


def _queue(client: "SQSClient", name: str, attributes: dict[str, str]) -> str:
    return client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]  # type: ignore[arg-type] # closed keys


def _template(client: "EC2Client", settings: Settings, user_data: Mapping[str, object]) -> None:
    try:
        client.create_launch_template(
            LaunchTemplateName=f"{settings.deployment}-worker",
            LaunchTemplateData={
                "ImageId": IMAGE,
                "InstanceType": "c7i.large",
                "UserData": base64.b64encode(user_data_lines(user_data).encode()).decode(),
                "InstanceInitiatedShutdownBehavior": "terminate",
                "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
            },
        )
    except ClientError as error:
        if not is_exists(error):
            raise
