#!/usr/bin/python
"""Whether new members of an Auto Scaling group are protected from scale-in, which autoscaling_group does not say."""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = """
module: aws_fleet_protection
short_description: Protect the new members of an Auto Scaling group from scale-in
description: What amazon.aws.autoscaling_group cannot say of a group. Members that there are stay as they are.
options:
  name:
    description: The group.
    type: str
    required: true
  protected:
    description: Whether members that it launches from now on are protected.
    type: bool
    required: true
  region:
    description: Its region.
    type: str
author: Skylens
"""
EXAMPLES = """
- name: Nobody but the autoscaler ends a worker
  aws_fleet_protection: {name: skylens-workers, protected: true}
"""
RETURN = """ # """


def main() -> None:
    options = {"name": {"required": True}, "protected": {"type": "bool", "required": True}}
    module = AnsibleAWSModule(argument_spec=options, supports_check_mode=True)
    client, name, wanted = module.client("autoscaling"), module.params["name"], module.params["protected"]
    groups = client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not groups and not module.check_mode:
        module.fail_json(msg=f"there is no Auto Scaling group {name}")
    changed = not groups or groups[0].get("NewInstancesProtectedFromScaleIn", False) != wanted
    if changed and not module.check_mode:
        client.update_auto_scaling_group(AutoScalingGroupName=name, NewInstancesProtectedFromScaleIn=wanted)
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
