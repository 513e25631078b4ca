"""Filter ``skylens_blocks``: a network cut into sixteen equal parts, with nothing but the standard library."""

import ipaddress
from collections.abc import Callable

_BITS = 4


def blocks(network: str) -> list[str]:
    """The sixteen parts of ``network``, in order, in CIDR form. Raises ValueError for what is not a network."""
    return [str(block) for block in ipaddress.ip_network(network).subnets(prefixlen_diff=_BITS)]


class FilterModule:
    """Where Ansible looks for it."""

    def filters(self) -> dict[str, Callable[[str], list[str]]]:
        return {"skylens_blocks": blocks}
