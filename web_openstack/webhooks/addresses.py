"""Which addresses a webhook may go to: public ones, and those in networks that the operator has named.

The tables are IANA's registries of special-purpose addresses; what ``ipaddress`` calls private or global differs
between versions of Python. Of IPv6 only native global unicast is public: every form that carries an IPv4 address
(mapped, NAT64, 6to4, Teredo, ISATAP) lies outside or is refused, for a translator would take it to a private one.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

SPECIAL_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
GLOBAL_V6 = IPv6Network("2000::/3")
SPECIAL_V6 = tuple(
    IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20")
)
ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""Before an IPv4 address, in an interface's half of an IPv6 address."""


def is_public(address: Address) -> bool:
    """Whether it is on the internet and nowhere else."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in SPECIAL_V4)
    if address.scope_id is not None or (int(address) >> 32) & 0xFFFF_FFFF in ISATAP:
        return False
    return address in GLOBAL_V6 and not any(address in network for network in SPECIAL_V6)


def is_named(address: Address, networks: Sequence[Network]) -> bool:
    """Whether the operator has named a network that it lies in."""
    return any(address in network for network in networks)
