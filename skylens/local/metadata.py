"""The instance metadata service (IMDSv2) of all emulated instances, each below a path of its own: ``/<instance-id>``.

``PUT /<id>/latest/api/token`` gives a token, which every GET needs (401 without: there is no IMDSv1). Tests make
Amazon's notices come true by ``PUT /emulator/<id>/<item>`` with its text: ``spot/instance-action``,
``autoscaling/target-lifecycle-state``.
"""

import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from skylens.clock import Clock
from skylens.local.ports import HOST

LONGEST_TOKEN = 21600
"""Longest life of a token in seconds."""
TAGS = "tags/instance"


@dataclass
class Known:
    """What one instance can read of itself. ``notices``: injected items, by their path below ``meta-data``."""

    user_data: str
    tags: Mapping[str, str]
    notices: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    """Each token with the tick at which it ends."""

    def item(self, instance: str, path: str) -> str | None:
        """The text of an item below ``/latest``; None when there is none."""
        if path == "user-data":
            return self.user_data or None
        name = path.removeprefix("meta-data/")
        if name == path:
            return None
        if name == "instance-id":
            return instance
        if name.rstrip("/") == TAGS:
            return "\n".join(sorted(self.tags))
        if name.startswith(f"{TAGS}/"):
            return self.tags.get(name.removeprefix(f"{TAGS}/"))
        return self.notices.get(name)


class Registry:
    """The instances that have metadata, by id. Any thread may call; each call is one step under the lock."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._known: dict[str, Known] = {}

    def add(self, instance: str, user_data: str, tags: Mapping[str, str]) -> None:
        with self._lock:
            self._known[instance] = Known(user_data, tags)

    def tag(self, instance: str, tags: Mapping[str, str]) -> None:
        with self._lock:
            self._known[instance].tags = tags

    def remove(self, instance: str) -> None:
        with self._lock:
            self._known.pop(instance, None)

    def notice(self, instance: str, item: str, text: str) -> bool:
        """Let ``item`` (a path below ``meta-data``) say ``text``; False when there is no such instance."""
        with self._lock:
            known = self._known.get(instance)
            if known:
                known.notices[item] = text
            return known is not None

    def token(self, instance: str, seconds: int) -> str | None:
        """A new token for ``seconds``; None when there is no such instance."""
        with self._lock:
            known = self._known.get(instance)
            if known is None:
                return None
            now = self._clock.ticks()
            known.tokens = {token: end for token, end in known.tokens.items() if end > now}
            made = secrets.token_urlsafe(32)
            known.tokens[made] = now + seconds
            return made

    def read(self, instance: str, token: str, path: str) -> tuple[HTTPStatus, str]:
        """Answer a GET of ``path`` below ``/latest``."""
        with self._lock:
            known = self._known.get(instance)
            if known is None:
                return HTTPStatus.NOT_FOUND, ""
            if known.tokens.get(token, 0) <= self._clock.ticks():
                return HTTPStatus.UNAUTHORIZED, ""
            text = known.item(instance, path)
        return (HTTPStatus.NOT_FOUND, "") if text is None else (HTTPStatus.OK, text)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """Connections that may wait to be accepted: every worker of a fleet may ask in the same moment."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of what broke, but not of a worker that was killed while it asked."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Metadata:
    """Serves a registry on loopback.

    Owns the thread ``metadata``, which accepts, and one short-lived daemon thread per connection; ``close`` ends the
    accepting one. They hold nothing but the registry: if one dies mid-answer, its worker asks again at its next look.
    """

    def __init__(self, registry: Registry) -> None:
        self._server = _Server((HOST, 0), _handler(registry))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="metadata", daemon=True)

    @property
    def url(self) -> str:
        """Of the service; an instance's own metadata are at ``<url>/<instance-id>``."""
        return f"http://{HOST}:{self._server.server_port}"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def _handler(registry: Registry) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30  # seconds that an idle connection is kept

        def do_GET(self) -> None:
            instance, _, path = unquote(self.path.lstrip("/")).partition("/latest/")
            token = self.headers.get("X-aws-ec2-metadata-token", "")
            self._answer(*registry.read(instance, token, path))

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            instance, _, path = unquote(self.path.lstrip("/")).partition("/latest/")
            if path == "api/token":
                self._answer(*self._token(instance))
                return
            owner, _, rest = instance.partition("/")
            instance, _, item = rest.partition("/")
            done = owner == "emulator" and registry.notice(instance, item, body)
            self._answer(HTTPStatus.OK if done else HTTPStatus.NOT_FOUND, "")

        def _token(self, instance: str) -> tuple[HTTPStatus, str]:
            if "X-Forwarded-For" in self.headers:
                return HTTPStatus.FORBIDDEN, ""
            wanted = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if not (wanted.isdecimal() and 1 <= int(wanted) <= LONGEST_TOKEN):
                return HTTPStatus.BAD_REQUEST, ""
            token = registry.token(instance, int(wanted))
            return (HTTPStatus.OK, token) if token else (HTTPStatus.NOT_FOUND, "")

        def _answer(self, status: HTTPStatus, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """A look every second of every worker is not worth a line."""

    return Handler
