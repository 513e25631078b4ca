"""The OpenStack that cloud/up.sh makes: bring it up, and see what is in it."""

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import openstack
from openstack.config import OpenStackConfig

SCRIPTS = Path(__file__).parent / "cloud"
STATE = Path(os.environ.get("STATE", "/var/tmp/skylens-openstack"))
UP_SECONDS = 600
CLOUD = "demo"


def bring_up(virt: str = "libvirt") -> str:
    """What it lacks, or nothing: then the cloud is up. ``virt``: libvirt for real guests, fake for none (and no QEMU).

    One that is up already stays as it is; one of the other kind is replaced, with everything in it.
    """
    if os.geteuid() != 0:
        return "it makes bridges and network namespaces, so it must run as root"
    done = subprocess.run(
        [SCRIPTS / "up.sh"],
        env={**os.environ, "NOINSTALL": "1", "VIRT": virt, "STATE": str(STATE)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=UP_SECONDS,
        check=False,
    )
    return done.stdout if done.returncode else ""


def take_down() -> None:
    subprocess.run([SCRIPTS / "down.sh", "--purge"], env={**os.environ, "STATE": str(STATE)}, check=True)


def environment() -> dict[str, str]:
    return {"OS_CLIENT_CONFIG_FILE": str(STATE / "clouds.yaml"), "no_proxy": "*"}


def connect(cloud: str = CLOUD, configuration: Path | None = None) -> Any:
    """A connection of openstacksdk, which knows no other cloud than this one."""
    files = [str(configuration or STATE / "clouds.yaml")]
    known = OpenStackConfig(config_files=files, load_envvars=False, load_yaml_config=True)
    return openstack.connection.Connection(config=known.get_one(cloud))


def inventory(cloud: Any) -> dict[str, set[str]]:
    """Everything that the project has, by kind: names, or what stands for them, with ids."""
    network, compute = cloud.network, cloud.compute
    here = {"project_id": cloud.current_project_id}
    kinds: dict[str, Callable[[], Iterable[Any]]] = {
        "servers": compute.servers,
        "key pairs": compute.keypairs,
        "server groups": compute.server_groups,
        "networks": lambda: network.networks(**here),
        "subnets": lambda: network.subnets(**here),
        "routers": lambda: network.routers(**here),
        "ports": lambda: network.ports(**here),
        "floating IPs": lambda: network.ips(**here),
        "security groups": lambda: network.security_groups(**here),
        "security group rules": lambda: network.security_group_rules(**here),
        "images": cloud.image.images,
        "application credentials": lambda: cloud.identity.application_credentials(cloud.current_user_id),
    }
    return {kind: {f"{each.name or ''} {each.id}" for each in everything()} for kind, everything in kinds.items()}


def differences(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, tuple[set[str], set[str]]]:
    """Of each kind that differs: what came, and what went."""
    return {
        kind: (after[kind] - before[kind], before[kind] - after[kind]) for kind in before if after[kind] != before[kind]
    }
