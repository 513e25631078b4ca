"""What others have in the project of a deployment: another deployment of a like name, and people's own things."""

from typing import Any

MARK = "skylens:deployment=lab-2"


def settle(cloud: Any) -> None:
    """A deployment ``lab-2``, by the marks that the playbooks would give it, and a stranger without any."""
    network, compute = cloud.network, cloud.compute
    public = network.find_network("public", ignore_missing=False)
    for name, mark in (("lab-2-web", MARK), ("labour-web", "")):
        net = network.create_network(name=name, description=mark)
        subnet = network.create_subnet(network_id=net.id, name=name, description=mark, ip_version=4, cidr="10.9.0.0/24")
        router = network.create_router(name=name, description=mark, external_gateway_info={"network_id": public.id})
        network.add_interface_to_router(router, subnet_id=subnet.id)
        network.create_security_group(name=name, description=mark)
        network.create_ip(floating_network_id=public.id, description=f"{mark} server={name}-1" if mark else "")
        compute.create_keypair(name=name)
        compute.create_server_group(name=name, policy="soft-anti-affinity")
        cloud.identity.create_application_credential(cloud.current_user_id, name=name, description=mark)
        image = cloud.image.create_image(
            name=name, data=b"x", disk_format="raw", container_format="bare", tags=[mark] if mark else []
        )
        compute.create_server(
            name=f"{name}-1",
            image_id=image.id,
            flavor_id=compute.find_flavor("m1.tiny", ignore_missing=False).id,
            networks=[{"uuid": net.id}],
            metadata={"skylens:deployment": "lab-2", "skylens:tier": "web"} if mark else {},
        )
    for server in compute.servers():
        compute.wait_for_server(server, wait=120)


def leave(cloud: Any) -> None:
    """Take everything out of the project, whoever made it."""
    _leave_compute(cloud.compute)
    _leave_network(cloud.network, {"project_id": cloud.current_project_id})
    for image in cloud.image.images(owner=cloud.current_project_id):
        cloud.image.delete_image(image)
    for credential in cloud.identity.application_credentials(cloud.current_user_id):
        cloud.identity.delete_application_credential(cloud.current_user_id, credential)


def _leave_compute(compute: Any) -> None:
    servers = list(compute.servers())
    for server in servers:
        compute.delete_server(server)
    for server in servers:
        compute.wait_for_delete(server, wait=120)
    for keypair in compute.keypairs():
        compute.delete_keypair(keypair)
    for group in compute.server_groups():
        compute.delete_server_group(group)


def _leave_network(network: Any, here: dict[str, str]) -> None:
    for ip in network.ips(**here):
        network.delete_ip(ip)
    for router in network.routers(**here):
        for port in network.ports(device_id=router.id, device_owner="network:router_interface"):
            network.remove_interface_from_router(router, port_id=port.id)
        network.delete_router(router)
    for net in network.networks(**here):
        network.delete_network(net)
    for group in network.security_groups(**here):
        if group.name != "default":
            network.delete_security_group(group)
