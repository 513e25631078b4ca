"""Waitress as measured for this service, with a drain that loses nobody."""

import resource
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from skylens import logs
from skylens.errors import SettingsError
from web_openstack.channel import Channel
from web_openstack.connections import Connections
from web_openstack.gate import Gate
from web_openstack.pace import ALL_UNREAD, UNREAD
from web_openstack.room import Room
from web_openstack.slots import places
from web_openstack.threads import Threads

log = logs.get(__name__)

SPARE = 16
"""Threads beyond the slots: health, polling and refusals never wait for a waiting client."""
SHED_EVERY = 0.25
"""Seconds between two looks at how much is unread."""
LINGER = 1.0
"""Seconds for which a stopping server goes on for the connections it has: what is on its way to it still arrives."""


class Serving(threading.local):
    """The channel whose request a thread serves; None in the main loop."""

    channel: Channel | None = None


def _nothing() -> None:
    pass


class Server(TcpWSGIServer):  # type: ignore[misc]
    """One listening socket and its loop. ``serve`` blocks until ``stop`` was called and the drain is over."""

    channel_class = Channel

    def __init__(
        self,
        app: Callable[..., Any],
        at: str | socket.socket,
        gate: Gate | None = None,
        room: Room | None = None,
        memory: Room | None = None,
        **adjustments: Any,
    ) -> None:
        """``at``: host:port to bind, or a listening socket that somebody else holds too.

        ``gate``: says before a body is received why it may not come; ``room``: when it may, and ``memory``: when it may
        be read. Raises OSError when the address cannot be bound.
        """
        self.stopping, self._is_over = False, False
        self.gate, self.room, self.memory = gate, room, memory
        self.told: deque[Channel] = deque()
        self.serving = Serving()
        self._connections, self._shed_at = Connections(), 0.0
        self._turned: Callable[[], None] = _nothing
        given: dict[str, Any] = {}
        if isinstance(at, socket.socket):
            info = (at.family, at.type, at.proto, at.getsockname())
            given = {"_sock": at, "sockinfo": info, "bind_socket": False}
        adj = Adjustments(
            **({"sockets": [at]} if given else {"listen": at}),
            ident=None,
            expose_tracebacks=False,
            clear_untrusted_proxy_headers=True,
            asyncore_use_poll=True,
            asyncore_loop_timeout=1,
            channel_request_lookahead=1,
            recv_bytes=64 * 1024,  # a turn of the loop looks at every connection: an image in six turns costs six looks
            channel_timeout=60,
            cleanup_interval=10,
            inbuf_overflow=64 * 1024,
            outbuf_high_watermark=UNREAD,
            log_socket_errors=False,
            **adjustments,
        )
        super().__init__(app, map=self._connections, adj=adj, dispatcher=Threads(adj.threads), **given)

    @property
    def address(self) -> str:
        """``http://host:port`` as bound."""
        host = f"[{self.effective_host}]" if ":" in self.effective_host else self.effective_host
        return urlsplit(f"http://{host}:{self.effective_port}").geturl()

    def maintenance(self, now: float) -> None:
        """Close connections that are idle or dribble; end waits for room. In place of waitress's own.

        They are closed here and now: one whose client takes nothing never becomes writable, where waitress would. Who
        has begun to send a body is told.
        """
        for room in (self.room, self.memory):
            if room:
                room.end_waits()
        for channel in list(self.active_channels.values()):
            idle = not channel.requests and channel.last_activity < now - self.adj.channel_timeout
            if (
                channel.will_close
                or channel.is_ebbed()
                or ((idle or channel.is_too_slow(now)) and not channel.give_up())
            ):
                channel.handle_close()

    def pull_trigger(self) -> None:
        """Wake the main loop; for a thread that serves a channel, only if that waits for something else by now."""
        channel = self.serving.channel
        if channel is None or self._connections.touch(channel):
            self._wake()

    def tell(self, channel: Channel) -> None:
        """Have the main loop let a channel go on; called by any thread, whatever it serves."""
        self.told.append(channel)
        self._wake()

    def _wake(self) -> None:
        if self._is_over:
            return
        with suppress(OSError):  # the drain is over and the trigger's pipe closed
            super().pull_trigger()

    def stop(self) -> None:
        """End ``serve``; may be called from a signal handler or another thread."""
        self.stopping = True
        self._wake()

    def serve(
        self,
        on_stop: Callable[[], None] = _nothing,
        drain: float = 5.0,
        turned: Callable[[], None] = _nothing,
    ) -> None:
        """Serve until stopped, then drain. ``turned`` is called at least once a second.

        The drain accepts no more: a socket that somebody else holds too goes on taking connections in, which is why it
        is closed and never shut down. It serves the connections that there are for ``LINGER`` seconds, calls
        ``on_stop`` (which wakes the waiters), and leaves when no request is in flight and every answer is written; all
        within ``drain`` seconds.
        """
        self._turned = turned
        while not self.stopping:
            self._turn(1.0)
        wasyncore.dispatcher.close(self)
        until = time.monotonic() + drain
        self._turn_until(lambda: not self.active_channels, min(time.monotonic() + LINGER, until))
        on_stop()
        self._turn_until(lambda: not self._busy(), until)
        busy = self._busy()
        log.info("web.drained", in_flight=busy, in_time=not busy)
        self.task_dispatcher.shutdown(timeout=1)
        self._is_over = True  # what wakes the loop is about to be closed, and its number may be another file's soon
        self._connections.close()

    def _turn(self, timeout: float) -> None:
        self._connections.touch(self)
        self._connections.turn(timeout)
        for _ in range(len(self.told)):  # one pass: who answers meanwhile tells again, and this loop has more to do
            channel = self.told.popleft()
            try:
                channel.go_on()
            except Exception:  # noqa: BLE001 - logged and closed, as waitress does where it reads a connection
                channel.handle_error()
            self._connections.touch(channel)
        self._turned()
        if (now := time.monotonic()) >= self._shed_at:
            self._shed_at = now + SHED_EVERY
            self._shed()

    def _shed(self) -> None:
        """Give up the oldest answers that nobody takes, if all of them have become too many bytes."""
        unread = [channel for channel in list(self.active_channels.values()) if channel.total_outbufs_len]
        size = sum(channel.total_outbufs_len for channel in unread)
        for channel in sorted(unread, key=lambda channel: channel.unread_since):
            if size <= ALL_UNREAD:
                break
            size -= channel.total_outbufs_len
            channel.handle_close()
            log.warning("web.unread", unread=size)

    def _turn_until(self, done: Callable[[], bool], until: float) -> None:
        while not done() and time.monotonic() < until:
            self._turn(0.05)

    def _busy(self) -> int:
        """Connections with a request coming in or under way, or an answer not yet written."""
        return sum(
            bool(channel.request or channel.requests or channel.total_outbufs_len)
            for channel in self.active_channels.values()
        )


def connections(slots: int) -> int:
    """Connections kept open for so many clients that may wait."""
    return 2 * slots + 200


def allow_files(slots: int, beside: int) -> None:
    """Raise the limit of open files to what so many clients need: a connection each, a spooled body for many.

    ``beside``: files that other parts keep open. Without room for every connection, waitress would spin on ``accept``.
    Raises SettingsError when this process may not open enough.
    """
    least, plenty = connections(slots) + beside, 2 * connections(slots) + beside
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = plenty if hard == resource.RLIM_INFINITY else min(plenty, hard)
    if allowed < least:
        raise SettingsError(
            f"SKYLENS_MAX_WAITS={slots} needs {least} open files, and this process may open {hard}; "
            f"raise LimitNOFILE (ulimit -Hn), or set it to at most {max(0, (hard - beside - 200) // 2)}"
        )
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def public(
    app: Callable[..., Any],
    at: str | socket.socket,
    *,
    slots: int,
    max_body: int,
    trusted_proxy: str,
    gate: Gate | None = None,
    room: Room | None = None,
    memory: Room | None = None,
) -> Server:
    """The public server, with a thread for each place to wait in and ``SPARE`` more. The rest: as of ``Server``."""
    proxy: dict[str, Any] = {}
    if trusted_proxy:
        proxy = {
            "trusted_proxy": trusted_proxy,
            "trusted_proxy_count": 1,
            "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"},
        }
    return Server(
        app,
        at,
        gate,
        room,
        memory,
        threads=places(slots) + SPARE,
        connection_limit=connections(slots),
        backlog=2048,
        max_request_body_size=max_body,
        max_request_header_size=32 * 1024,
        **proxy,
    )


def internal(app: Callable[..., Any], at: str | socket.socket) -> Server:
    """The internal server: a few threads of its own, so that the autoscaler is heard under any load."""
    return Server(app, at, threads=4, max_request_body_size=8 * 1024**2)
