"""Fetches a small JSON document from whoever vouches for callers: an OIDC issuer, Keystone."""

import re
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlsplit

import httpcore2 as httpcore

from skylens.bounded_stream import BoundedBackend, BoundedStream, deadline
from skylens.errors import SettingsError, UnavailableError
from skylens.setting_forms import AUTHORITY

TIMEOUT, TOTAL = 3.0, 10.0
"""Seconds for each address to connect, and for a whole call. For a name the system's resolver has its own patience."""
LARGEST = 256 * 1024
"""Bytes of a document."""
MOST = 2 * LARGEST
"""Bytes of all that is read for it: headers, interim answers and the sizes of chunks as well."""
IDLE = 8
"""Connections kept."""
SAFE = re.compile(AUTHORITY + r"(/|$)")
OF_URLS = "!$&'()*+,;=:@/?%"
"""What a path and a query may hold beside letters, digits and ``-._~``."""
NONE: Mapping[str, str] = MappingProxyType({})


class Answer(NamedTuple):
    status: int
    body: bytes


class Fetch(Protocol):
    """GET of a URL. Raises UnavailableError. May be used by many threads."""

    def __call__(self, url: str, headers: Mapping[str, str] = NONE) -> Answer: ...


class Kept(NamedTuple):
    """A connection on which an answer was read to its end."""

    origin: httpcore.Origin
    stream: BoundedStream


class HttpFetch:
    """The real one: no redirects, no repeats, no proxies, certificates always checked.

    httpcore's own pool would read what comes behind an answer's end as the answer to the next question, which may be
    about another token. So connections are kept here, and what reads an answer is made anew for each.
    """

    def __init__(self, authorities: str, ticks: Callable[[], float] = time.monotonic) -> None:
        """``authorities``: file of certificates to trust beside the system's, or nothing. Raises SettingsError."""
        self._ticks = ticks
        self._context = ssl.create_default_context()
        try:
            if authorities:
                self._context.load_verify_locations(authorities)
        except OSError as error:  # an ssl.SSLError is one
            raise SettingsError(
                f"SKYLENS_TOKENS_CA={authorities!r} cannot be read: {error}; name a file of certificates in PEM"
            ) from error
        self._context.set_alpn_protocols(["http/1.1"])
        self._idle: deque[Kept] = deque()
        self._lock = threading.Lock()

    def __call__(self, url: str, headers: Mapping[str, str] = NONE) -> Answer:
        if not SAFE.match(url):
            raise UnavailableError(f"{url[:200]!r} is neither https:// nor http:// on this machine")
        try:
            return self._exchange(url, headers, deadline(TOTAL, self._ticks))
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            OSError,
            ValueError,
        ) as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UnavailableError(f"{url} does not answer: {said}") from error

    def _exchange(self, url: str, headers: Mapping[str, str], left: Callable[[], float]) -> Answer:
        place = _place(url)
        own = {"Host": urlsplit(url).netloc, "Accept": "application/json", "Accept-Encoding": "identity"}
        sent = [(name.encode(), said.encode()) for name, said in {**own, "User-Agent": "skylens", **headers}.items()]
        stream = self._taken(place.origin, left) or self._connected(place.origin, left)
        connection = httpcore.HTTP11Connection(place.origin, stream)
        with connection.stream("GET", place, headers=sent) as answer:  # closes what was not read to its end
            body = bytearray()
            for part in answer.iter_stream():
                body += part
                if len(body) > LARGEST:
                    raise UnavailableError(f"{url} answers with more than {LARGEST} bytes")
        if connection.is_idle():
            self._keep(Kept(place.origin, stream))
        return Answer(answer.status, bytes(body))

    def _connected(self, origin: httpcore.Origin, left: Callable[[], float]) -> BoundedStream:
        host = origin.host.decode()
        stream = BoundedBackend(left, MOST, TIMEOUT).connect_tcp(host, origin.port)
        return stream.start_tls(self._context, host) if origin.scheme == b"https" else stream

    def _taken(self, origin: httpcore.Origin, left: Callable[[], float]) -> BoundedStream | None:
        """A kept connection, the latest first. One with something to read was closed over there, or is out of step."""
        with self._lock:
            for kept in [one for one in reversed(self._idle) if one.origin == origin]:
                self._idle.remove(kept)
                if not kept.stream.get_extra_info("is_readable"):
                    return kept.stream.renewed(left, MOST)
                kept.stream.close()
        return None

    def _keep(self, kept: Kept) -> None:
        with self._lock:
            self._idle.append(kept)
            if len(self._idle) > IDLE:
                self._idle.popleft().stream.close()


def _place(url: str) -> httpcore.URL:
    """Where a URL leads; what no URL may hold is quoted. Raises ValueError."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.hostname or ""
    return httpcore.URL(scheme=parts.scheme, host=host, port=parts.port, target=quote(target, safe=OF_URLS))
