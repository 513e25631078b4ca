"""Where a webhook goes: a URL taken apart by one strict pattern, so that nobody reads it in another way than we do."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network

from skylens.errors import BadRequestError
from skylens.settings import WebSettings
from web_openstack.webhooks.addresses import Address, Network, is_named, is_public

HEADER = "Callback-Url"
LONGEST = 2048
"""Characters of a URL."""
PORTS = (443, 8443)
_USUAL = {"https": 443, "http": 80}
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253})(:(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[a-z0-9._~!$&'()*+,;=:@%/-]*)?(?P<query>\?[a-z0-9._~!$&'()*+,;=:@%/?-]*)?",
    re.ASCII | re.IGNORECASE,
)
_NAME = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@dataclass(frozen=True)
class Target:
    """``host``: lower-case, an IPv6 address without its brackets; ``path``: with the query."""

    scheme: str
    host: str
    port: int
    path: str


@dataclass(frozen=True)
class Rules:
    """``networks``: private ones that may be reached; ``plain``: there also by http and at any port."""

    networks: tuple[Network, ...] = ()
    plain: bool = False

    @classmethod
    def of(cls, settings: WebSettings) -> "Rules":
        return cls(tuple(ip_network(entry) for entry in settings.webhook_networks), settings.webhook_http)

    def parse(self, url: str) -> Target:
        """Raises BadRequestError, which repeats nothing of the URL but its scheme, host and port."""
        found = _URL.fullmatch(url) if len(url) <= LONGEST else None
        if found is None:
            raise BadRequestError(
                f"{HEADER} must be https://host/path in at most {LONGEST} plain ASCII characters, without user, "
                "password and fragment; other characters as %XX, in a host's name as xn--"
            )
        scheme, host = found["scheme"].lower(), found["host"].lower()
        literal = _literal(host)
        target = Target(
            scheme=scheme,
            host=host.strip("[]"),
            port=int(found["port"] or _USUAL[scheme]),
            path=(found["path"] or "/") + (found["query"] or ""),
        )
        if not (0 < target.port < 65536 and (self.plain or self._is_usual(target))):  # noqa: PLR2004 - a port's bound
            raise BadRequestError(
                f"{HEADER} has {scheme} and port {target.port}; taken are https and the ports "
                f"{' and '.join(map(str, PORTS))}"
            )
        if literal is not None and not self.allows(target, literal):
            raise BadRequestError(f"{HEADER} leads to {target.host}, which is not an address that webhooks may go to")
        return target

    def allows(self, target: Target, address: Address) -> bool:
        """Whether that target may be reached at this address."""
        if is_named(address, self.networks):
            return self.plain or self._is_usual(target)
        return is_public(address) and self._is_usual(target)

    @staticmethod
    def _is_usual(target: Target) -> bool:
        return target.scheme == "https" and target.port in PORTS


def _literal(host: str) -> Address | None:
    """The address that a host is written as; None for a name. Raises BadRequestError for what is neither.

    A name whose last part is a number is an address to many resolvers (``127.1``, ``0x7f000001``): only the usual form
    is taken.
    """
    try:
        if host.startswith("["):
            return IPv6Address(host[1:-1])
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            return IPv4Address(host)
    except AddressValueError:
        raise BadRequestError(f"{HEADER} has the host {host[:80]!r}, which is no address in its usual form") from None
    if not _NAME.fullmatch(host):
        raise BadRequestError(f"{HEADER} has the host {host[:80]!r}, which is no name in the DNS")
    return None
