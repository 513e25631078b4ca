"""Which operation of AWS an HTTP request is: ``s3.PutObject`` of ``local-input/default/1``."""

import json
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

VERSIONS = {"2016-11-15": "ec2", "2011-01-01": "autoscaling", "2010-08-01": "cloudwatch", "2012-11-05": "sqs"}
"""What ``Version`` in a form says of the service."""
TARGETS = {"AmazonSQS": ("sqs", "json"), "GraniteServiceVersion20100801": ("cloudwatch", "metrics")}
"""What ``X-Amz-Target`` says of it, and whose errors it has."""
S3_OBJECT = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
S3_BUCKET = {"GET": "ListObjectsV2", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
NAMES = ("QueueUrl", "QueueName", "AutoScalingGroupName", "ClientToken", "Namespace")
"""Parameters that say what an operation is about."""


class Operation(NamedTuple):
    """``resource``: bucket and key, queue or group; empty where a request names none. ``protocol``: of its errors."""

    service: str
    name: str
    resource: str = ""
    protocol: str = "rest-xml"

    def __str__(self) -> str:
        return f"{self.service}.{self.name}"


def operation(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Operation:
    """``target``: path and query; ``headers``: names in lower case."""
    url = urlsplit(target)
    json_target = headers.get("x-amz-target", "")
    if json_target:
        target_service, _, name = json_target.rpartition(".")
        service, protocol = TARGETS[target_service]
        return Operation(service, name, _resource(json.loads(body or b"{}")), protocol)
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return _of_form({name: values[0] for name, values in parse_qs(body.decode()).items()})
    return _of_s3(method, unquote(url.path).strip("/"), url.query, headers)


def _of_form(form: Mapping[str, str]) -> Operation:
    service = VERSIONS.get(form.get("Version", ""), "unknown")
    return Operation(service, form.get("Action", "Unknown"), _resource(form), "ec2" if service == "ec2" else "query")


def _of_s3(method: str, path: str, query: str, headers: Mapping[str, str]) -> Operation:
    if path.startswith(("moto-api", "_ministack")):
        return Operation("emulator", method, path)
    if "/" not in path:
        names = S3_BUCKET if path else {"GET": "ListBuckets"}
        return Operation("s3", "DeleteObjects" if query == "delete" else names.get(method, method), path)
    name = "CopyObject" if "x-amz-copy-source" in headers else S3_OBJECT.get(method, method)
    return Operation("s3", name, path)


def _resource(parameters: Mapping[str, object]) -> str:
    found = next((str(parameters[name]) for name in NAMES if name in parameters), "")
    return found.rpartition("/")[2]
