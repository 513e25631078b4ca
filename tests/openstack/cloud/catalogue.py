"""Services, endpoints, users and roles in a new Keystone: ADDRESS REGION PASSWORD. Run by the system's Python."""

import sys

import openstack

SERVICES = {
    "glance": ("image", ":9292"),
    "placement": ("placement", ":8778"),
    "neutron": ("network", ":9696"),
    "nova": ("compute", ":8774/v2.1"),
}


def main(address: str, region: str, password: str) -> None:
    identity = openstack.connect(cloud="admin").identity
    roles = {role.name: role for role in identity.roles()}
    for role in {"service", "member", "reader"} - set(roles):
        roles[role] = identity.create_role(name=role)
    project = identity.create_project(name="service", domain_id="default")
    for name, (kind, rest) in SERVICES.items():
        user = identity.create_user(name=name, password=password, domain_id="default")
        for role in ("admin", "service"):
            identity.assign_project_role_to_user(project, user, roles[role])
        service = identity.create_service(name=name, type=kind)
        for interface in ("public", "internal", "admin"):
            identity.create_endpoint(
                service_id=service.id, interface=interface, region_id=region, url=f"http://{address}{rest}"
            )
    project = identity.create_project(name="demo", domain_id="default")
    user = identity.create_user(name="demo", password=password, domain_id="default")
    identity.assign_project_role_to_user(project, user, roles["member"])


if __name__ == "__main__":
    main(*sys.argv[1:])
