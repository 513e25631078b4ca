#!/usr/bin/python
"""The SSH host keys of an EC2 instance, from its console."""

from ansible.module_utils.host_keys import look
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = """
module: aws_host_keys
short_description: The SSH host keys that an EC2 instance wrote to its console
description: Waits until they are there. Changes nothing. The console of an instance on Nitro can be read at once.
options:
  instance:
    description: Id of the instance.
    type: str
    required: true
  timeout:
    description: Seconds to wait for them; none in time is no error.
    type: float
    default: 600
  region:
    description: Its region.
    type: str
author: Skylens
"""
EXAMPLES = """
- name: Who is it?
  aws_host_keys: {instance: i-0123456789abcdef0}
"""
RETURN = """ # """  # as host_keys.look says


def main() -> None:
    options = {"instance": {"type": "str", "required": True}, "timeout": {"type": "float", "default": 600}}
    module = AnsibleAWSModule(argument_spec=options, supports_check_mode=True)
    client, instance = module.client("ec2"), module.params["instance"]

    def read() -> str:
        return client.get_console_output(InstanceId=instance, Latest=True).get("Output", "")

    module.exit_json(**look(read, (BotoCoreError, ClientError), module.params["timeout"]))


if __name__ == "__main__":
    main()
