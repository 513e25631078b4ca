"""Fetches a small JSON document from whoever vouches for callers: an OIDC issuer, Keystone."""

import re
import ssl
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

import urllib3

from skylens.errors import SettingsError, UnavailableError
from skylens.setting_forms import AUTHORITY

TIMEOUT, TOTAL = 3.0, 10.0
"""Seconds to connect, and for both connecting and each wait for bytes; after ``TOTAL`` no more of a body is read."""
LARGEST = 256 * 1024
"""Bytes of a document."""
IDLE = 8
"""Connections kept to a host."""
SAFE = re.compile(AUTHORITY + r"(/|$)")
NONE: Mapping[str, str] = MappingProxyType({})


class Answer(NamedTuple):
    status: int
    body: bytes


class Fetch(Protocol):
    """GET of a URL. Raises UnavailableError. May be used by many threads."""

    def __call__(self, url: str, headers: Mapping[str, str] = NONE) -> Answer: ...


class HttpFetch:
    """The real one: no redirects, no repeats, no proxies, certificates always checked."""

    def __init__(self, authorities: str, ticks: Callable[[], float] = time.monotonic) -> None:
        """``authorities``: file of certificates to trust beside the system's, or nothing. Raises SettingsError."""
        self._ticks = ticks
        context = ssl.create_default_context()
        try:
            if authorities:
                context.load_verify_locations(authorities)
        except OSError as error:  # an ssl.SSLError is one
            raise SettingsError(
                f"SKYLENS_TOKENS_CA={authorities!r} cannot be read: {error}; name a file of certificates in PEM"
            ) from error
        timeout = urllib3.Timeout(connect=TIMEOUT, total=TOTAL)
        self._pool = urllib3.PoolManager(maxsize=IDLE, timeout=timeout, retries=False, ssl_context=context)

    def __call__(self, url: str, headers: Mapping[str, str] = NONE) -> Answer:
        if not SAFE.match(url):
            raise UnavailableError(f"{url[:200]!r} is neither https:// nor http:// on this machine")
        asked = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "skylens", **headers}
        until = self._ticks() + TOTAL
        try:
            answer = self._pool.request("GET", url, headers=asked, redirect=False, preload_content=False)
            body = b""
            while part := answer.read1(LARGEST + 1 - len(body), decode_content=False):  # what is there, not all of it
                body += part
                if len(body) > LARGEST:
                    answer.close()
                    raise UnavailableError(f"{url} answers with more than {LARGEST} bytes")
                if self._ticks() >= until:
                    answer.close()
                    raise UnavailableError(f"{url} answers for longer than {TOTAL:g} s")
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UnavailableError(f"{url} does not answer: {said}") from error
        return Answer(answer.status, body)
