#!/usr/bin/python
"""The project that a cloud's user works in."""

import openstack
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: openstack_project
short_description: The id of the project that a cloud's user works in
description: As the user's token says it, so no right in Keystone is needed. Changes nothing.
options:
  cloud:
    description: Name of the cloud in clouds.yaml.
    type: str
    required: true
author: Skylens
"""
EXAMPLES = """
- name: Whose things are ours?
  openstack_project: {cloud: private}
"""
RETURN = """
id:
  description: The project's id.
  type: str
  returned: success
"""


def main() -> None:
    options = {"cloud": {"type": "str", "required": True}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    try:
        project = openstack.connect(cloud=module.params["cloud"]).current_project_id
    except openstack.exceptions.SDKException as error:
        module.fail_json(msg=str(error))
    if not project:
        module.fail_json(msg=f"the user of {module.params['cloud']} has no project")
    module.exit_json(changed=False, id=project)


if __name__ == "__main__":
    main()
