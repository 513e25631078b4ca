"""Wait for agents and the hypervisor, then make the public network and flavors: NOVA_CONF ADDRESS. System's Python."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import openstack

AGENTS = 3
FLAVORS = (("m1.tiny", 512, 2), ("m1.small", 1024, 3))


def until(what: str, reached: Callable[[], Any]) -> None:
    end = time.monotonic() + 90
    while not reached():
        if time.monotonic() > end:
            sys.exit(f"not ready: {what}")
        time.sleep(0.5)


def main(configuration: str, address: str) -> None:
    cloud = openstack.connect(cloud="admin")
    compute, network = cloud.compute, cloud.network
    until("nova-compute", lambda: any(s.binary == "nova-compute" and s.state == "up" for s in compute.services()))
    until("Neutron's agents", lambda: sum(agent.is_alive for agent in network.agents()) >= AGENTS)
    if not list(compute.hypervisors()):
        discover = ["nova-manage", "--config-file", configuration, "cell_v2", "discover_hosts", "--by-service"]
        subprocess.run(discover, check=True, capture_output=True)
    until("a hypervisor", lambda: list(compute.hypervisors()))
    if not network.find_network("public"):
        public = network.create_network(
            name="public",
            provider_network_type="flat",
            provider_physical_network="public",
            is_router_external=True,
            is_port_security_enabled=False,
        )
        net = address.rpartition(".")[0]
        network.create_subnet(
            network_id=public.id,
            name="public",
            ip_version=4,
            cidr=f"{net}.0/24",
            gateway_ip=address,
            is_dhcp_enabled=False,
            allocation_pools=[{"start": f"{net}.100", "end": f"{net}.199"}],
        )
    for name, memory, disk in FLAVORS:
        if not compute.find_flavor(name):
            compute.create_flavor(name=name, ram=memory, vcpus=2, disk=disk)


if __name__ == "__main__":
    main(*sys.argv[1:])
