"""A connection to somebody nobody vouches for: it ends in time and after so many bytes, whatever comes."""

import ssl
from collections.abc import Callable
from typing import Any

import httpcore2 as httpcore


def deadline(seconds: float, ticks: Callable[[], float]) -> Callable[[], float]:
    """A function that says how many of the ``seconds`` from now are left; at their end it raises ReadTimeout."""
    until = ticks() + seconds

    def left() -> float:
        rest = until - ticks()
        if rest <= 0:
            raise httpcore.ReadTimeout(f"no answer within {seconds:g} s")
        return rest

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
    ) -> httpcore.NetworkStream:
        del timeout
        inner = self._inner.start_tls(ssl_context, server_hostname, self._left())
        return BoundedStream(inner, self._left, self._rest)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
