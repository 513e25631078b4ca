"""A connection to somebody nobody vouches for: it ends in time and after so many bytes, whatever comes."""

import math
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import httpcore2 as httpcore


def deadline(seconds: float, ticks: Callable[[], float], step: float = math.inf) -> Callable[[], float]:
    """A function that says how many of the ``seconds`` from now are left, at most ``step``; in the end: ReadTimeout."""
    until = ticks() + seconds

    def left() -> float:
        rest = until - ticks()
        if rest <= 0:
            raise httpcore.ReadTimeout(f"no answer within {seconds:g} s")
        return min(step, rest)

    return left


class BoundedStream(httpcore.NetworkStream):
    """Every wait ends at the same moment, however slowly bytes come, and endless headers or interim answers end too."""

    def __init__(self, inner: httpcore.NetworkStream, left: Callable[[], float], most: int) -> None:
        """``left``: seconds that a wait may take now, as of ``deadline``; ``most``: bytes that are read."""
        self._inner, self._left, self._rest = inner, left, most

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        data = self._inner.read(max_bytes, self._left())
        self._rest -= len(data)
        if self._rest < 0:
            raise httpcore.ReadError("an answer without an end")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._inner.write(buffer, self._left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "BoundedStream":
        del timeout
        inner = self._inner.start_tls(ssl_context, server_hostname, self._left())
        return BoundedStream(inner, self._left, self._rest)

    def renewed(self, left: Callable[[], float], most: int) -> "BoundedStream":
        """The same connection for another exchange, with bounds of its own."""
        return BoundedStream(self._inner, left, most)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


@dataclass(frozen=True)
class BoundedBackend(httpcore.NetworkBackend):
    """Connections that are bounded, of one exchange. ``left`` and ``most`` as of ``BoundedStream``."""

    left: Callable[[], float]
    most: int
    connect: float = math.inf
    """Seconds for one address to take the connection."""
    addresses: Sequence[str] | None = None
    """Where to go whatever the host's name is, in turn; None: where the name leads."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> BoundedStream:
        del timeout
        failed: Exception | None = None
        try:
            addresses = resolve(host, port) if self.addresses is None else self.addresses
        except OSError as error:
            raise httpcore.ConnectError(error) from error
        for address in addresses:
            try:
                patience = min(self.connect, self.left())
                inner = httpcore.SyncBackend().connect_tcp(address, port, patience, local_address, socket_options)
                return BoundedStream(inner, self.left, self.most)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError("no address")


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, by the system's resolver, which may take half a minute. Raises OSError."""
    found = [entry[4] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    numbers = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    # by name information, which keeps the link of a link-local one
    return list(dict.fromkeys(socket.getnameinfo(one, numbers)[0] for one in found))
