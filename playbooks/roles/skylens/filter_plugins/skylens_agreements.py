"""What the variables of a deployment must agree on, as sentences: which variable, which value, what would be right."""

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Settings = dict[str, Any]
NEEDED_BY_OPENSTACK = {
    "skylens_cloud": "the name of a cloud in your clouds.yaml",
    "skylens_web_flavor": "a flavor with 1 GiB of memory or more; `openstack flavor list` shows them",
    "skylens_web_image": "the name of an image; `openstack image list` shows them",
    "skylens_admin_networks": "the networks that may use SSH, such as [192.0.2.0/24]; this machine must be in one",
}
ENDPOINTS = ("s3", "sqs", "ec2", "autoscaling", "cloudwatch")
ARM = r"a1|[a-z]+\d+g[a-z]*"  # families of instance types
ZONES = 2  # at least


def agreements(settings: Settings, own: dict[str, dict[str, Any]], web_hosts: list[str]) -> list[str]:
    """``own``: of each variable that hands settings to a tier, those that the playbooks put there themselves.

    ``web_hosts`` are those that the inventory lists, beside what OpenStack may have.
    """
    found = list(_handed_over(settings, own))
    if "aws" in settings["skylens_sides"]:
        found += [*_places(settings), *_fleet(settings)]
    if "openstack" in settings["skylens_sides"]:
        found += [*_servers(settings), *_image(settings)]
    else:
        found += _listed(settings, web_hosts)
    if "openstack" in settings["skylens_sides"] or web_hosts:
        found += [*_credentials(settings), *_tls(settings)]
    return found


def _handed_over(settings: Settings, own: dict[str, dict[str, Any]]) -> Iterator[str]:
    for variable, names in own.items():
        for name, value in settings[variable].items():
            own_variable = f"skylens_{name}" in settings
            if name in names or own_variable:
                better = f"set skylens_{name} instead" if own_variable else "leave it out"
                yield f"{variable}: the playbooks set {name} themselves; {better}"
            elif not re.fullmatch(r"[a-z0-9_]+", str(name)):
                yield f"{variable}: {name} should be a setting of docs/settings.md, in small letters without SKYLENS_"
            elif not isinstance(value, str | int | float) or "\n" in str(value):
                yield f"{variable}: {name} is {value!r}; it should be one line of text, a number, true or false"


def _places(settings: Settings) -> Iterator[str]:
    zones, region = settings["skylens_zones"], settings["skylens_region"]
    if zones and len(set(zones)) < ZONES:
        yield f"skylens_zones is {zones}; name two zones or more, such as {region}a and {region}b, or none"
    for zone in zones:
        if not re.fullmatch(rf"{re.escape(region)}(-[a-z]+-\d)?[a-z]", zone):
            yield f"skylens_zones: {zone} is no zone of skylens_region, which is {region}; one would be {region}a"
    for service, url in settings["skylens_aws_endpoints"].items():
        if service not in ENDPOINTS:
            yield f"skylens_aws_endpoints: {service} is none of {', '.join(ENDPOINTS)}"
        if not re.fullmatch(r"https?://[^\s/]+/?", str(url)):
            yield f"skylens_aws_endpoints: {service} is {url!r}; it should be a URL, such as https://host:port"


def _fleet(settings: Settings) -> Iterator[str]:
    minimum, maximum = settings["skylens_minimum"], settings["skylens_maximum"]
    if minimum > maximum:
        yield f"skylens_minimum is {minimum}, above skylens_maximum, which is {maximum}; lower it, or raise the maximum"
    if not settings["skylens_instance_types"]:
        yield "skylens_instance_types is empty; name one or more, such as [c7i.large]"
    for kind in settings["skylens_instance_types"]:
        if re.fullmatch(ARM, kind.partition(".")[0]):
            yield f"skylens_instance_types: {kind} is an ARM machine; the release is for x86_64, such as c7i.large"
    if not (settings["skylens_worker_ami"] or (settings["skylens_base_ami"] and settings["skylens_base_ami_owner"])):
        yield "skylens_base_ami is missing, or its owner: what to bake from; or set skylens_worker_ami"
    model = Path(settings["skylens_model"]).expanduser()
    if settings["skylens_model"] != "cifar10":
        missing = [name for name in ("model.onnx", "labels.txt", "model.toml") if not (model / name).is_file()]
        if missing:
            yield f"skylens_model is {str(model)!r}, which lacks {missing[0]}: name a model folder (docs/models.md)"
    yield from _fetched("skylens_log_agent", settings)
    if settings["skylens_budget_monthly"] > 0 and not settings["skylens_budget_email"]:
        yield "skylens_budget_email is missing, and skylens_budget_monthly is set: name who shall hear of it"


def _servers(settings: Settings) -> Iterator[str]:
    for name, right in NEEDED_BY_OPENSTACK.items():
        if not settings[name]:
            yield f"{name} is missing; set it to {right}"
    if not (settings["skylens_web_network"] or settings["skylens_external_network"]):
        yield "skylens_external_network is missing; name the floating IPs' network, or an existing skylens_web_network"
    if not settings["skylens_client_networks"]:
        yield "skylens_client_networks is empty, so nobody could reach the endpoint; everybody is [0.0.0.0/0]"
    count = settings["skylens_web_count"]
    if count > 1 and settings["skylens_balancer"] == "none":
        yield f"skylens_balancer is none, and skylens_web_count is {count}: choose octavia or haproxy, or one node"
    if settings["skylens_internal_networks"]:
        yield (
            f"skylens_internal_networks is {settings['skylens_internal_networks']}, and skylens_sides has openstack, "
            "whose security groups let the nodes reach each other: leave it out"
        )
    for network in settings["skylens_metrics_networks"]:
        if settings["skylens_balancer"] == "octavia" and _overlap(network, settings["skylens_web_cidr"]):
            yield (
                f"skylens_metrics_networks: {network} has addresses of skylens_web_cidr, which is "
                f"{settings['skylens_web_cidr']}, and behind Octavia everybody comes from there: "
                "name networks outside it, or read 127.0.0.1 on each node"
            )


def _listed(settings: Settings, hosts: list[str]) -> Iterator[str]:
    """Of web nodes that nobody finds for the autoscalers, and that no security group guards."""
    if len(hosts) > 1 and not settings["skylens_scaler_settings"].get("web_nodes"):
        yield (
            f"skylens_scaler_settings lacks web_nodes, and the inventory lists {len(hosts)} web nodes: name the "
            "internal address of each, such as http://192.0.2.11:8081, or an autoscaler hears its own node alone"
        )
    if len(hosts) > 1 and not settings["skylens_internal_networks"]:
        yield (
            f"skylens_internal_networks is empty, and the inventory lists {len(hosts)} web nodes: name theirs, such as "
            "[192.0.2.11/32, 192.0.2.12/32], or an autoscaler cannot reach the others"
        )


def _overlap(one: str, other: str) -> bool:
    """Whether two networks share an address; what is no network, which is told elsewhere, shares none."""
    try:
        return ipaddress.ip_network(one).overlaps(ipaddress.ip_network(other))
    except ValueError:
        return False


def _image(settings: Settings) -> Iterator[str]:
    boots = ("skylens_web_image_kernel", "skylens_web_image_initrd")
    if any(settings[name] for name in boots):
        for name in (*boots, "skylens_web_image_file"):
            if not settings[name]:
                yield f"{name} is missing: an image without a boot loader is {', '.join(boots)}, skylens_web_image_file"


def _credentials(settings: Settings) -> Iterator[str]:
    tokens = any(settings["skylens_web_settings"].get(name) for name in ("oidc_issuer", "keystone_url"))
    if not tokens and not any(
        settings[name] for name in ("skylens_api_keys", "skylens_keys_file", "skylens_open_door")
    ):
        yield (
            "skylens_api_keys is empty: name a key there or a skylens_keys_file, set oidc_issuer or keystone_url in "
            "skylens_web_settings, or set skylens_open_door: true to serve anybody at all"
        )
    if settings["skylens_smoke_key"] and not _is_known(settings["skylens_smoke_key"], settings):
        yield (
            "skylens_smoke_key is none of the keys whose SHA-256 skylens_api_keys has; "
            "add tenant:sha256 of it there, or make it with `skylens keys add` in skylens_keys_file"
        )
    if settings["skylens_aws_credentials"] == "roles_anywhere":
        if not settings["skylens_signing_helper"]:
            yield (
                "skylens_signing_helper is missing, and skylens_aws_credentials is roles_anywhere: "
                "name the URL or file of aws_signing_helper, or choose key"
            )
        yield from _fetched("skylens_signing_helper", settings)


def _is_known(key: str, settings: Settings) -> bool:
    digest, path = hashlib.sha256(key.encode()).hexdigest(), settings["skylens_keys_file"]
    file = Path(path).expanduser() if path else None
    kept = file is not None and file.is_file() and f'"{digest}"' in file.read_text()
    return kept or any(known.endswith(f":{digest}") for known in settings["skylens_api_keys"])


def _fetched(name: str, settings: Settings) -> Iterator[str]:
    """Of a file that is fetched or copied, and whose hash is checked."""
    source = settings[name]
    if not source:
        return
    if not source.startswith("https://") and not Path(source).expanduser().is_file():
        yield f"{name} is {source!r}; it should be an https:// URL or a file on this machine"
    if not settings[f"{name}_sha256"]:
        yield f"{name}_sha256 is missing; sha256sum of a file that you trust prints it"


def _tls(settings: Settings) -> Iterator[str]:
    needs = {
        "internal": (),
        "files": ("skylens_tls_certificate", "skylens_tls_key"),
        "acme": ("skylens_hostname", "skylens_acme_email"),
    }
    kind = settings["skylens_tls"]
    for name in needs[kind]:
        if not settings[name]:
            yield f"{name} is missing, and skylens_tls is {kind}: set it"
    if kind == "acme" and settings["skylens_web_count"] > 1:
        yield "skylens_tls is acme, and skylens_web_count above 1: the authority could ask any node; use files"
    if kind == "acme" and settings["skylens_balancer"] != "none":
        yield (
            f"skylens_tls is acme, and skylens_balancer {settings['skylens_balancer']}: the authority calls at port "
            "80, which ends at no balancer; use files"
        )
    if kind == "acme" and "0.0.0.0/0" not in settings["skylens_client_networks"]:
        yield "skylens_client_networks lacks 0.0.0.0/0, and skylens_tls is acme, whose authority calls from anywhere"


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"skylens_agreements": agreements}
