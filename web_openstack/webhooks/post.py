"""One POST to a receiver nobody vouches for: a checked address, no redirects, and an end within seconds."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import httpcore2 as httpcore

from skylens.bounded_stream import BoundedBackend, deadline, resolve
from skylens.clock import Clock
from web_openstack.webhooks.target import Rules, Target

DEADLINE = 15.0
"""Seconds for the whole exchange, once the host's addresses are known."""
CONNECT = 5.0
"""Seconds for one address to take the connection."""
MOST = 64 * 1024
"""Bytes that are read: only the status is wanted."""
TRIED = 4
"""Addresses of a host that are tried."""
Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host, in the order to try them. Raises OSError."""


class UndeliveredError(Exception):
    """No answer of the receiver. Its text says why, for logs, and repeats nothing of the URL but the host."""


@dataclass(frozen=True)
class Post:
    """Sends one event. A thread that sends is held for ``DEADLINE`` and the resolver's time at most."""

    rules: Rules
    clock: Clock
    tls: ssl.SSLContext
    resolve: Resolve = resolve

    def __call__(self, target: Target, headers: Mapping[str, str], body: bytes) -> int:
        """The answer's status; its body is not read. Raises UndeliveredError."""
        addresses = self._addresses(target)
        # to the addresses that were looked up once and found good, whatever the DNS says a moment later
        checked = BoundedBackend(deadline(DEADLINE, self.clock.ticks), MOST, CONNECT, addresses)
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        own = {"Host": _authority(target), "Content-Type": "application/json", "User-Agent": "Skylens-Webhooks"}
        sent = [(name.encode(), value.encode()) for name, value in {**own, **headers}.items()]
        try:
            with (
                httpcore.ConnectionPool(self.tls, network_backend=checked) as pool,
                pool.stream("POST", url, headers=sent, content=body) as answer,
            ):
                return answer.status
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise UndeliveredError(f"{type(error).__name__}: {error}"[:200]) from error

    def _addresses(self, target: Target) -> Sequence[str]:
        """Of the target's host. One that is not allowed spoils them all: such a host cannot be trusted with any."""
        try:
            found = self.resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            raise UndeliveredError(f"the host's name is not found: {error}"[:200]) from error
        for address in found:
            if not self.rules.allows(target, ip_address(address)):
                raise UndeliveredError(f"{address} is not an address that webhooks may go to")
        if not found:
            raise UndeliveredError("the host's name has no address")
        return found[:TRIED]


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == {"https": 443, "http": 80}[target.scheme] else f"{host}:{target.port}"
