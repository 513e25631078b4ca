"""What the playbooks make in production, made in the embedded cloud: buckets, queues, the workers' launch template."""

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from skylens.aws_errors import is_exists
from skylens.local.clients import Clients
from skylens.resources import LaunchTemplate, Queue, declared
from skylens.settings import PREFIX, Settings

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sqs import SQSClient

IMAGE = "ami-00000000000000000"


def create(clients: Clients, settings: Settings, user_data: Mapping[str, object]) -> None:
    """Make everything that is missing; doing it twice changes nothing. ``user_data``: settings of the workers.

    Nothing expires: the embedded cloud is gone before.
    """
    made = declared()
    s3 = clients.s3()
    for bucket in made.buckets:
        s3.create_bucket(Bucket=settings.bucket(bucket.name))
    _queues(clients.sqs(), settings, made.queues)
    _template(clients.ec2(), settings, made.launch_template, user_data)


def user_data_lines(settings: Mapping[str, object]) -> str:
    """``SKYLENS_NAME=value`` lines, as ``skylens worker`` reads them from its instance's user-data."""
    return "".join(f"{PREFIX}{name.upper()}={value}\n" for name, value in settings.items())


def _queues(client: "SQSClient", settings: Settings, queues: tuple[Queue, ...]) -> None:
    urls: dict[str, str] = {}
    for queue in queues:
        attributes = {"MessageRetentionPeriod": str(queue.retention)}
        if queue.visibility_timeout is not None:
            attributes["VisibilityTimeout"] = str(settings.visibility_timeout)
        if queue.dead_letters is not None:
            dead = client.get_queue_attributes(QueueUrl=urls[queue.dead_letters], AttributeNames=["QueueArn"])
            redrive = {"deadLetterTargetArn": dead["Attributes"]["QueueArn"], "maxReceiveCount": queue.receives}
            attributes["RedrivePolicy"] = json.dumps(redrive)
        made = client.create_queue(
            QueueName=settings.queue(queue.name),
            Attributes=attributes,  # type: ignore[arg-type] # closed keys
        )
        urls[queue.name] = made["QueueUrl"]


def _template(
    client: "EC2Client", settings: Settings, template: LaunchTemplate, user_data: Mapping[str, object]
) -> None:
    data = _camel(msgspec.to_builtins(template))
    data["ImageId"] = IMAGE
    data["InstanceType"] = "c7i.large"
    data["UserData"] = base64.b64encode(user_data_lines(user_data).encode()).decode()
    try:
        client.create_launch_template(LaunchTemplateName=f"{settings.deployment}-worker", LaunchTemplateData=data)
    except ClientError as error:
        if not is_exists(error):
            raise


def _camel(options: Mapping[str, Any]) -> Any:
    """Options of an Ansible module as EC2 names them."""
    return {
        "".join(word.capitalize() for word in name.split("_")): _camel(value) if isinstance(value, dict) else value
        for name, value in options.items()
    }
