"""Ansible module: attributes of SQS queues that ``community.aws.sqs_queue`` has no option for, and their policies."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = """
module: queue_attributes
short_description: Attributes of SQS queues
description: Sets the attributes that differ; the queues are made by others. Each one is set by itself, in order.
options:
  name: {description: The queue., type: str}
  prefix: {description: Instead of a name, what the names of all queues that are meant begin with., type: str}
  attributes:
    description: Attributes as the SQS API names them; a mapping stands for its JSON text, an empty one for none.
    type: dict
    required: true
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules]
author: [Skylens]
"""
GONE = ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"]


def text(value: Any) -> str:
    """An attribute as SQS takes it."""
    if isinstance(value, dict):
        return json.dumps(value) if value else ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def same(wanted: str, found: str) -> bool:
    """Whether two attributes say the same; SQS may show JSON in another order, and a number in it as text."""
    try:
        return bool(numberless(wanted) == numberless(found))
    except ValueError:
        return wanted == found


def numberless(value: str) -> Any:
    return json.loads(value or "{}", parse_int=str)


def adjusted(client: Any, url: str, wanted: dict[str, str], *, check: bool) -> dict[str, str]:
    """What differed of one queue, which is set unless this is a ``check``."""
    found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]).get("Attributes", {})
    differing = {key: value for key, value in wanted.items() if not same(value, found.get(key, ""))}
    for key, value in differing.items():
        if not check:
            client.set_queue_attributes(QueueUrl=url, Attributes={key: value})
    return differing


def listed(client: Any, prefix: str) -> list[str]:
    """URLs of the queues whose names begin so; SQS has no second page unless it is asked for pages."""
    pages = client.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 1000})
    return [url for page in pages for url in page.get("QueueUrls", [])]


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str"},
            "prefix": {"type": "str"},
            "attributes": {"type": "dict", "required": True},
        },
        mutually_exclusive=[("name", "prefix")],
        required_one_of=[("name", "prefix")],
        supports_check_mode=True,
    )
    client, name, prefix = module.client("sqs"), module.params["name"], module.params["prefix"]
    wanted = {key: text(value) for key, value in module.params["attributes"].items()}
    try:
        urls = listed(client, prefix) if prefix else [client.get_queue_url(QueueName=name)["QueueUrl"]]
    except is_boto3_error_code(GONE) as error:
        if not module.check_mode:
            module.fail_json_aws(error, msg=f"there is no queue {name}")
        module.exit_json(changed=True, differing={name: wanted})
    except Exception as error:  # noqa: BLE001 - the module says what it was
        module.fail_json_aws(error, msg=f"cannot find the queue {name or prefix}")
    differing, failed = {}, []
    for url in urls:
        try:
            if found := adjusted(client, url, wanted, check=module.check_mode):
                differing[url.rpartition("/")[2]] = found
        except Exception as error:  # noqa: BLE001 - the module says what it was, of each queue
            if name or not isinstance(error, is_boto3_error_code(GONE, error)):  # else a web node swept it meanwhile
                failed.append(f"{url.rpartition('/')[2]}: {error}")
    if failed:
        module.fail_json(msg="cannot set attributes of " + "; ".join(failed), differing=differing)
    module.exit_json(changed=bool(differing), differing=differing)


if __name__ == "__main__":
    main()
