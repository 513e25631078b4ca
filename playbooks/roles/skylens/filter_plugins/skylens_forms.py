"""What is wrong with each variable by itself, as sentences: which variable, which value, what would be right."""

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text, in quotes where YAML would read it as something else"),
    "path": ((str,), "a path"),
    "int": ((int,), "a whole number, without quotes"),
    "float": ((int, float), "a number, without quotes"),
    "bool": ((bool,), "true or false, without quotes"),
    "list": ((list,), "a list: [...]"),
    "dict": ((dict,), "a mapping: {name: value}"),
}
RANGES = {
    "skylens_retention_hours": (1, 8760),
    "skylens_releases_kept": (2, 100),
    "skylens_minimum": (0, 1000),
    "skylens_maximum": (1, 1000),
    "skylens_worker_disk": (8, 16384),
    "skylens_budget_monthly": (0, 10_000_000),
    "skylens_web_count": (1, 20),
    "skylens_address_connections": (0, 100_000),
}
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
HOST = rf"({LABEL}\.)*(?=[a-z0-9-]*[a-z]){LABEL}"  # the last label has a letter, or it would be an address
KEY = r"[a-z0-9][a-z0-9-]{0,62}:[0-9a-f]{64}"
WEBHOOK = r"[a-z0-9][a-z0-9-]{0,62}:whsec_[A-Za-z0-9+/]{32,86}={0,2}"
EMAIL = (rf"[^@\s]+@{HOST}", "an e-mail address")
SHA256 = (r"[0-9a-f]{64}", "64 hexadecimal digits in small letters")
ADDRESS = (rf"{HOST}|[0-9.]+|[0-9a-f:]+:[0-9a-f:.]*", "an IP address or a DNS name")
PATTERNS = {  # of texts, unless empty, and of each entry of a list
    "skylens_deployment": (r"[a-z][a-z0-9-]{0,29}", "a small letter, then up to 29 of a-z, 0-9 and -"),
    "skylens_region": (r"[a-z]{2}(-[a-z]+)+-\d", "a region of AWS, such as eu-central-1"),
    "skylens_bucket_prefix": (
        r"(?!xn--|sthree-|amzn-s3-demo-)[a-z0-9][a-z0-9-]{0,55}",
        "up to 56 of a-z, 0-9 and -, no - at the beginning, and none of the prefixes that S3 keeps to itself",
    ),
    "skylens_instance_types": (r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "a family and a size, such as c7i.large"),
    "skylens_worker_ami": (r"ami-[0-9a-f]{8,17}", "the id of an AMI, such as ami-0123456789abcdef0, or empty"),
    "skylens_base_ami_owner": (r"\d{12}|amazon|aws-marketplace|self", "an account of 12 digits, in quotes"),
    "skylens_budget_email": EMAIL,
    "skylens_acme_email": EMAIL,
    "skylens_signing_helper_sha256": SHA256,
    "skylens_log_agent_sha256": SHA256,
    "skylens_web_user": (r"[a-z_][a-z0-9_-]{0,31}", "the name of a Linux login"),
    "skylens_hostname": (HOST, "a DNS name in small letters, such as skylens.example.org"),
    "skylens_ntp_servers": ADDRESS,
    "skylens_secrets": (r"[/~].*", "a whole path, such as {{ inventory_dir }}/secrets"),
    "skylens_build": (r"[/~].*", "a whole path, such as {{ inventory_dir }}/build"),
    "skylens_ssh_key": (r"[/~].*", "a whole path, such as {{ skylens_secrets }}/id_ed25519"),
    "skylens_webhook_secrets": (WEBHOOK, "tenant:whsec_<base64 of 24 to 64 random bytes>"),
    "skylens_api_keys": (KEY, "tenant:sha256; printf %s KEY | sha256sum prints its second half"),
}
NEEDED = (
    "skylens_deployment",
    "skylens_region",
    "skylens_bucket_prefix",
    "skylens_secrets",
    "skylens_build",
    "skylens_ssh_key",
    "skylens_sides",
)
NETWORKS = {  # shortest and longest prefix
    "skylens_vpc_cidr": (16, 24),
    "skylens_web_cidr": (8, 28),
    "skylens_admin_networks": (0, 128),
    "skylens_client_networks": (0, 128),
    "skylens_metrics_networks": (0, 128),
    "skylens_internal_networks": (0, 128),
}
FILES = (
    "skylens_web_image_file",
    "skylens_web_image_kernel",
    "skylens_web_image_initrd",
    "skylens_tls_certificate",
    "skylens_tls_key",
    "skylens_keys_file",
)
SECRET = ("skylens_api_keys", "skylens_smoke_key", "skylens_webhook_secrets")


def forms(settings: dict[str, Any]) -> list[str]:
    return [*_missing(settings), *_matches(settings), *_in_range(settings), *_networks(settings), *_files(settings)]


def unknown(names: list[str], options: list[str], others: list[str]) -> list[str]:
    """A sentence for each variable that nothing reads; ``others`` are known too, but not for a user to set."""
    found = []
    for name in sorted(set(names) - set(options) - set(others)):
        near = difflib.get_close_matches(name, options, n=1)
        found.append(f"{name} is no variable of the playbooks" + (f"; did you mean {near[0]}?" if near else ""))
    return found


def mistyped(settings: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """Values of another type than ``options`` says; Ansible's own check takes "20" for 20, and hands on the text."""
    return list(_mistyped(settings, options))


def _mistyped(settings: dict[str, Any], options: dict[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        kinds, right = TYPES[options[name]["type"]]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            how = f"""; on the command line: -e '{{"{name}": ...}}'""" if isinstance(value, str) else ""
            yield f"{name} is {_shown(name, value)}; it should be {right}{how}"
        elif isinstance(value, list) and not all(isinstance(entry, str) for entry in value):
            yield f"{name} is {_shown(name, value)}; each entry should be a text, in quotes"


def _missing(settings: dict[str, Any]) -> Iterator[str]:
    yield from (f"{name} is empty" for name in NEEDED if not settings[name])


def _matches(settings: dict[str, Any]) -> Iterator[str]:
    for name, (pattern, right) in PATTERNS.items():
        for entry in _entries(settings[name]):
            if not re.fullmatch(pattern, entry):
                yield f"{name} is {_shown(name, entry)}; it should be {right}"


def _in_range(settings: dict[str, Any]) -> Iterator[str]:
    for name, (least, most) in RANGES.items():
        if not least <= settings[name] <= most:
            yield f"{name} is {settings[name]}; it should be from {least} to {most}"


def _networks(settings: dict[str, Any]) -> Iterator[str]:
    for name, (shortest, longest) in NETWORKS.items():
        for entry in _entries(settings[name]):
            yield from (f"{name} is {entry!r}; {why}" for why in _network(entry, shortest, longest))
    for server in settings["skylens_dns_servers"]:
        if not _is_address(server):
            yield f"skylens_dns_servers is {server!r}; it should be an IP address"


def _files(settings: dict[str, Any]) -> Iterator[str]:
    for name in FILES:
        if settings[name] and not Path(settings[name]).expanduser().is_file():
            yield f"{name} is {settings[name]!r}; there is no such file on this machine"


def _shown(name: str, value: Any) -> str:
    return "(hidden)" if name in SECRET else repr(value)


def _entries(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [value] if value else []


def _network(text: str, shortest: int, longest: int) -> Iterator[str]:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        yield "it should be a network, such as 192.0.2.0/24"
        return
    if "/" not in text:
        yield f"its length is missing; this one address is {network}"
    elif ipaddress.ip_interface(text).ip != network.network_address:
        yield f"that is an address within the network {network}"
    elif not shortest <= network.prefixlen <= longest:
        yield f"it should be from /{shortest} to /{longest}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"skylens_forms": forms, "skylens_mistyped": mistyped, "skylens_unknown": unknown}
