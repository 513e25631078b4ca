"""moto's launch templates, images and groups, put right where a second run of a playbook would see a change, or fail.

- A launch template's own tags are not part of its first version. (moto: they are.)
- CreateImage tags the snapshot as it is told to. (moto: it is not implemented.)
- An update of a group that says nothing of what it launches changes nothing of that. (moto: its mixed instances policy
  is gone.)
"""

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.ec2.models import EC2Backend


def without_own_tags(create):
    """``EC2Backend.create_launch_template``."""

    def create_launch_template(backend, name, description, data, tag_spec):
        kept = [each for each in data.get("TagSpecifications", []) if each["ResourceType"] != "launch-template"]
        return create(backend, name, description, data | {"TagSpecifications": kept}, tag_spec)

    return create_launch_template


def with_snapshot_tags(create):
    """``EC2Backend.create_image``."""

    def create_image(backend, instance_id, name, description, tag_specifications):
        of = {each["ResourceType"]: each["Tags"] for each in tag_specifications}
        image = create(
            backend, instance_id, name, description, [{"ResourceType": "image", "Tags": of.get("image", [])}]
        )
        for tag in of.get("snapshot", []):
            image.ebs_snapshot.add_tag(tag["Key"], tag["Value"])
        return image

    return create_image


def keeping_policy(update):
    """``FakeAutoScalingGroup.update``."""

    def keep(group, **given):
        before = group.mixed_instances_policy
        update(group, **given)
        if not any(given.get(name) for name in ("launch_config_name", "launch_template", "mixed_instances_policy")):
            group.mixed_instances_policy = before

    return keep


def install():
    """Replace moto's own."""
    FakeAutoScalingGroup.update = keeping_policy(FakeAutoScalingGroup.update)
    EC2Backend.create_launch_template = without_own_tags(EC2Backend.create_launch_template)
    EC2Backend.create_image = with_snapshot_tags(EC2Backend.create_image)
