"""moto's server as the embedded cloud runs it, with what the playbooks need besides.

- CloudFormation's types of IAM Roles Anywhere, which moto lacks.
- Launch templates and images as ``moto_templates`` puts them right.
- A user has no service-specific credentials. (moto: the question is an error, so no user could be removed.)
"""

import uuid

import moto_templates
from moto.core.common_models import CloudFormationModel
from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse

from skylens.local import moto_server

MODULE = "moto.rolesanywhere"
"""moto keeps what it makes by the service in its module's name."""


class _Made:
    """One resource: what its template asked for is in its ARN's place only, nobody reads it back."""

    def __init__(self, region, account):
        self.physical_resource_id = str(uuid.uuid4())
        self.arn = f"arn:aws:rolesanywhere:{region}:{account}:{self.path}/{self.physical_resource_id}"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **rest):
        return cls(region_name, account_id)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, *rest, **more):
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(cls, *rest, **more):
        pass

    @classmethod
    def has_cfn_attr(cls, attr):
        return attr == cls.attribute

    def get_cfn_attribute(self, attribute_name):
        return self.arn

    @staticmethod
    def cloudformation_name_type():
        return ""


class TrustAnchor(_Made, CloudFormationModel):
    __module__ = MODULE
    path, attribute = "trust-anchor", "TrustAnchorArn"

    @staticmethod
    def cloudformation_type():
        return "AWS::RolesAnywhere::TrustAnchor"


class Profile(_Made, CloudFormationModel):
    __module__ = MODULE
    path, attribute = "profile", "ProfileArn"

    @staticmethod
    def cloudformation_type():
        return "AWS::RolesAnywhere::Profile"


if __name__ == "__main__":
    IamResponse.list_service_specific_credentials = lambda self: ActionResult({"ServiceSpecificCredentials": []})
    moto_templates.install()
    moto_server.main()
