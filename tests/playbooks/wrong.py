"""Settings of a deployment that are right, and what is wrong with others."""

from typing import Any, NamedTuple

RIGHT: dict[str, Any] = {
    "skylens_api_keys": ["lab:" + "0" * 64],
    "skylens_aws_credentials": "key",
    "skylens_cloud": "lab",
    "skylens_web_flavor": "m1.small",
    "skylens_web_image": "debian-12",
    "skylens_admin_networks": ["192.0.2.0/24"],
    "skylens_external_network": "public",
}


class Wrong(NamedTuple):
    variables: dict[str, Any]
    told: tuple[str, ...]
    """Words of the message, all of them."""


def wrong(told: str, /, **variables: Any) -> Wrong:
    return Wrong({f"skylens_{name}": value for name, value in variables.items()}, tuple(told.split(" & ")))
