"""Ansible module: attributes of one SQS queue that ``community.aws.sqs_queue`` has no option for, and its policies."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = """
module: queue_attributes
short_description: Attributes of one SQS queue
description: Sets the attributes that differ; the queue is made by another task.
options:
  name: {description: The queue., type: str, required: true}
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


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "attributes": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    client, name = module.client("sqs"), module.params["name"]
    wanted = {key: text(value) for key, value in module.params["attributes"].items()}
    try:
        url = client.get_queue_url(QueueName=name)["QueueUrl"]
        found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]).get("Attributes", {})
        differing = {key: value for key, value in wanted.items() if not same(value, found.get(key, ""))}
        if differing and not module.check_mode:
            client.set_queue_attributes(QueueUrl=url, Attributes=differing)
    except is_boto3_error_code(GONE) as error:
        if not module.check_mode:
            module.fail_json_aws(error, msg=f"there is no queue {name}")
        differing = wanted
    except Exception as error:  # noqa: BLE001 - the module says what it was
        module.fail_json_aws(error, msg=f"cannot set attributes of the queue {name}")
    module.exit_json(changed=bool(differing), differing=differing)


if __name__ == "__main__":
    main()
