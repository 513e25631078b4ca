"""Ansible module: all lifecycle rules of one S3 bucket at once.

``community.aws.s3_lifecycle`` sets one rule by reading the others first, which S3 may still show as they were a moment
ago, so that of two rules set in a row the first can get lost; and it has no check mode.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = """
module: bucket_lifecycle
short_description: All lifecycle rules of one S3 bucket
description: Replaces the bucket's lifecycle configuration where it differs.
options:
  name: {description: The bucket., type: str, required: true}
  rules: {description: The rules as the S3 API has them., type: list, elements: dict, required: true}
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules]
author: [Skylens]
"""
NONE = ["NoSuchLifecycleConfiguration", "NoSuchBucket"]


def by_id(rules: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {rule["ID"]: rule for rule in rules}


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "rules": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    client, name, rules = module.client("s3"), module.params["name"], module.params["rules"]
    try:
        found = client.get_bucket_lifecycle_configuration(Bucket=name).get("Rules", [])
    except is_boto3_error_code(NONE):
        found = []
    except Exception as error:  # noqa: BLE001 - the module says what it was
        module.fail_json_aws(error, msg=f"cannot read the lifecycle rules of {name}")
    changed = by_id(found) != by_id(rules)
    if changed and not module.check_mode:
        try:
            client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
        except Exception as error:  # noqa: BLE001 - the module says what it was
            module.fail_json_aws(error, msg=f"cannot set the lifecycle rules of {name}")
    module.exit_json(changed=changed, rules=rules)


if __name__ == "__main__":
    main()
