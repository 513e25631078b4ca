"""Rules of security groups, in the words of openstack.cloud.security_group."""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

Rules = list[dict[str, Any]]


def from_networks(ports: Iterable[int], networks: Iterable[str]) -> Rules:
    """Let these networks reach these TCP ports. A network is written as Neutron does, or it would differ each time."""
    found = sorted({ipaddress.ip_network(each, strict=False) for each in networks}, key=str)
    return [
        {**_tcp(port), "ether_type": f"IPv{network.version}", "remote_ip_prefix": str(network)}
        for port in ports
        for network in found
    ]


def from_group(ports: Iterable[int], group: str) -> Rules:
    """Let the members of a security group reach these TCP ports."""
    return [{**_tcp(port), "ether_type": "IPv4", "remote_group": group} for port in ports]


def _tcp(port: int) -> dict[str, Any]:
    return {"direction": "ingress", "protocol": "tcp", "port_range_min": port, "port_range_max": port}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Rules]]:
        return {"openstack_from_networks": from_networks, "openstack_from_group": from_group}
