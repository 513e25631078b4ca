"""Which of the private cloud's servers are this deployment's web nodes, as Nova lists them.

A server counts by its metadata: ``skylens:deployment=<deployment>`` and ``skylens:tier=web``. Its web tier answers
``/internal/*`` at its first fixed IPv4 address, port ``skylens:internal-port`` or 8081. One call is made of Nova,
``GET /servers/detail``, so an application credential with an access rule for that path alone is enough.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import msgspec

from skylens.errors import MessageError, SettingsError, UnavailableError
from skylens.messages import Struct, decode

TIMEOUT = 5
"""Seconds for Nova or Keystone to accept a connection, and again for each answer."""
MICROVERSION = "2.69"
"""The first that lists servers out of Nova's reach, as ``UNKNOWN``; before it they are left out as if deleted."""
PAGES = 1000
PORT = 8081
NOT_RUNNING = frozenset({"BUILD", "DELETED", "SHELVED", "SHELVED_OFFLOADED", "SHUTOFF", "SOFT_DELETED"})
"""States in which no process runs, nor waits in memory: nobody is connected, and what was accepted is in SQS.

The others stay: a server that is paused, migrated, rebooted or even in ERROR may have clients, now or in a moment.
"""


class Address(Struct, frozen=True, kw_only=True):
    addr: str
    version: int
    kind: str = msgspec.field(default="", name="OS-EXT-IPS:type")


class Server(Struct, frozen=True, kw_only=True):
    """As Nova says it, of which only this is read. One with the status ``UNKNOWN`` has no more than its id."""

    id: str
    status: str
    name: str = ""
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    addresses: dict[str, list[Address]] = msgspec.field(default_factory=dict)


class Link(Struct, frozen=True, kw_only=True):
    rel: str


class Page(Struct, frozen=True, kw_only=True):
    servers: list[Server]
    links: list[Link] = msgspec.field(default_factory=list, name="servers_links")

    @property
    def last(self) -> bool:
        return not self.servers or all(link.rel != "next" for link in self.links)


class Node(NamedTuple):
    """A server of the web tier that runs, or may. ``address``: IPv4; ``status``: Nova's word."""

    name: str
    id: str
    address: str
    port: int
    status: str

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"


class Nova(Protocol):
    def servers(self) -> list[Server]:
        """Every server of the project. Raises UnavailableError."""
        ...


class SdkNova:
    """The real one. openstacksdk finds the cloud in clouds.yaml, its endpoints in the catalogue, and renews the token.

    Pages are asked for by marker at the catalogue's address: the links of a Nova behind a proxy may name another host,
    which would be sent the token. Not for two threads at once.
    """

    def __init__(self, cloud: str) -> None:
        """Reads clouds.yaml and connects to nobody yet.

        Raises SettingsError when the package is missing, or that cloud's entry is missing or wrong.
        """
        setting = f"SKYLENS_NOVA_CLOUD={cloud!r}"
        try:  # half a second and 20 MB, which only those pay who use it
            import openstack  # noqa: PLC0415
            from keystoneauth1.exceptions import ClientException  # noqa: PLC0415
            from openstack.exceptions import SDKException, raise_from_response  # noqa: PLC0415
        except ImportError as error:
            raise SettingsError(f"{setting} needs openstacksdk ({error}): install skylens[openstack]") from error
        self._errors, self._check = (ClientException, SDKException), raise_from_response
        self._stumbles = (
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        )  # over a token that is not as it should be
        try:
            self._cloud = openstack.connect(cloud, app_name="skylens", api_timeout=TIMEOUT)
        except self._errors as error:
            raise SettingsError(f"{setting}: {_said(error)}") from error

    def servers(self) -> list[Server]:
        found: list[Server] = []
        for _ in range(PAGES):
            page = self._page(found[-1].id if found else "")
            found += page.servers
            if page.last:
                return found
        raise UnavailableError(f"Nova's list of servers does not end within {PAGES} pages")

    def _page(self, marker: str) -> Page:
        wanted = {"marker": marker} if marker else {}
        try:
            answer = self._cloud.compute.get(
                "/servers/detail", params=wanted, microversion=MICROVERSION, connect_retries=0
            )
            self._check(answer)
            return decode(Page, answer.content)
        except (*self._errors, *self._stumbles, MessageError) as error:
            raise UnavailableError(f"Nova did not list its servers: {_said(error)}") from error


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def web_nodes(servers: Iterable[Server], deployment: str) -> tuple[Node, ...]:
    """The web nodes among these, by id. Raises UnavailableError while Nova cannot say what some of the servers are."""
    found, unknown = [], []
    for server in servers:
        if server.status == "UNKNOWN":
            unknown.append(server.id)
        elif (node := _node(server, deployment)) is not None:
            found.append(node)
    if unknown:
        raise UnavailableError(f"Nova does not reach the cell of {len(unknown)} servers, such as {unknown[0]}")
    return tuple(sorted(found, key=lambda node: node.id))


def _node(server: Server, deployment: str) -> Node | None:
    ours = (server.metadata.get("skylens:deployment"), server.metadata.get("skylens:tier")) == (deployment, "web")
    addresses = [each for network in server.addresses.values() for each in network]
    fixed = [each.addr for each in addresses if each.kind == "fixed" and each.version == 4]  # noqa: PLR2004 - IPv4
    if not ours or not fixed or server.status in NOT_RUNNING:
        return None
    port = _port(server.metadata.get("skylens:internal-port", ""))
    return Node(server.name, server.id, fixed[0], port, server.status)


def _port(text: str) -> int:
    """A port as metadata say it; 8081 when they do not, or say what is none."""
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,4}", text) and int(text) < 2**16 else PORT
