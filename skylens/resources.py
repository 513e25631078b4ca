"""What a deployment consists of in AWS: ``resources.json``, read and checked.

That file is the one declaration of the queues, the buckets and what every worker's launch template has. The playbooks
read it for production, the embedded cloud for a laptop; its launch template has the options of Ansible's module
``amazon.aws.ec2_launch_template``.
"""

from importlib import resources
from typing import Literal

import msgspec

FILE = "resources.json"


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Queue(_Strict, frozen=True, kw_only=True):
    """``retention``: seconds that a message is kept.

    ``visibility_timeout``: seconds, unless the setting of that name says otherwise; None for SQS's default.
    """

    name: str
    retention: int
    visibility_timeout: int | None = None
    dead_letters: str | None = None
    """The queue that takes a message over after ``receives`` deliveries; it comes before this one."""
    receives: int | None = None


class Bucket(_Strict, frozen=True, kw_only=True):
    """``expiring``: prefixes of the objects that are deleted when the results' retention is over; all others stay."""

    name: Literal["input", "output", "state"]
    expiring: tuple[str, ...]


class Tags(_Strict, frozen=True, kw_only=True):
    """Names of tags: whose it is, what an instance is to do, when the owner of a reply queue was last alive."""

    deployment: str
    state: str
    seen: str


class MetadataOptions(_Strict, frozen=True, kw_only=True):
    http_endpoint: str
    http_tokens: str
    http_put_response_hop_limit: int
    instance_metadata_tags: str


class LaunchTemplate(_Strict, frozen=True, kw_only=True):
    instance_initiated_shutdown_behavior: str
    metadata_options: MetadataOptions


class Resources(_Strict, frozen=True, kw_only=True):
    """The whole declaration. Days: how long an overwritten or deleted version, and an unfinished upload, is kept."""

    description: str
    tags: Tags
    queues: tuple[Queue, ...]
    reply_queues: dict[str, str]
    """Attributes, as the SQS API names them, of queues that web nodes make; set again and again, the policy first."""
    buckets: tuple[Bucket, ...]
    noncurrent_days: int
    incomplete_upload_days: int
    launch_template: LaunchTemplate


def declared() -> Resources:
    """The declaration that comes with the product."""
    return msgspec.json.decode(resources.files("skylens").joinpath(FILE).read_bytes(), type=Resources)
