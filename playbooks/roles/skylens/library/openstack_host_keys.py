#!/usr/bin/python
"""The SSH host keys of a server of OpenStack, from its console."""

import openstack
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_keys import look

DOCUMENTATION = """
module: openstack_host_keys
short_description: The SSH host keys that a server of OpenStack wrote to its console
description: Waits until they are there. Changes nothing.
options:
  cloud:
    description: Name of the cloud in clouds.yaml.
    type: str
    required: true
  server:
    description: Id of the server.
    type: str
    required: true
  timeout:
    description: Seconds to wait for them; none in time is no error.
    type: float
    default: 600
author: Skylens
"""
EXAMPLES = """
- name: Who is it?
  openstack_host_keys: {cloud: private, server: 5f6c7d4e-7d0e-4a51-9f0a-5b9f6b0c2a11}
"""
RETURN = """ # """  # as host_keys.look says


def main() -> None:
    text = {"type": "str", "required": True}
    options = {"cloud": text, "server": text, "timeout": {"type": "float", "default": 600}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    compute, server = openstack.connect(cloud=module.params["cloud"]).compute, module.params["server"]

    def read() -> str:
        return compute.get_server_console_output(server)["output"] or ""

    module.exit_json(**look(read, openstack.exceptions.SDKException, module.params["timeout"]))


if __name__ == "__main__":
    main()
