"""Waitress as measured for this service, with a drain that loses nobody and errors that are problem documents."""

import resource
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask

from skylens import logs
from skylens.errors import SettingsError
from web_openstack import problems
from web_openstack.connections import Connections
from web_openstack.gate import CALLER, REFUSED, Gate, Parser
from web_openstack.pace import Pace
from web_openstack.slots import places
from web_openstack.threads import Threads

log = logs.get(__name__)

SPARE = 16
"""Threads beyond the slots: health, polling and refusals never wait for a waiting client."""
LINGER = 1.0
"""Seconds for which a stopping server goes on for the connections it has: what is on its way to it still arrives."""
EBB = 10.0
"""Seconds for which a refused body is read and thrown away once its answer is written: closed at once, the connection
would be reset by the bytes on their way, and the client might never see why."""


class ProblemTask(ErrorTask):  # type: ignore[misc]
    """Answers what waitress itself refuses (malformed, too large) as a problem document."""

    def execute(self) -> None:
        error = self.request.error
        code = error.reason.lower().replace(" ", "-")
        body = problems.body(error.code, code, error.reason, f"{error.reason}: {error.body}")
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", problems.MEDIA_TYPE))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class LastTask(WSGITask):  # type: ignore[misc]
    """Once the server stops, an answer is the last on its connection: the next request is for the next process.

    So is the answer to a request whose body was refused: the body still comes.
    """

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[REFUSED], environ[CALLER] = self.request.refused, self.request.caller
        return environ

    def build_response_header(self) -> bytes:
        if self.channel.server.stopping or self.request.refused:
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header

    def finish(self) -> None:
        """Write the answer in this thread: the main loop need not be woken for it."""
        super().finish()
        self.channel.flush()


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection: its requests are framed strictly, and neither they nor their answers may be slow for ever.

    Until a body that was refused has ebbed away, it stays open for reading. While the gate must ask somebody who sends,
    it is not read.
    """

    task_class = LastTask
    error_task_class = ProblemTask
    request: Any
    will_close: bool
    close_when_flushed: bool
    refusing = False
    _ebbed = float("inf")
    _coming: Pace | None = None
    _going: Pace | None = None

    def __init__(self, server: "Server", *args: Any, **options: Any) -> None:
        super().__init__(server, *args, **options)
        self.parser_class = partial(Parser, gate=server.gate, turned_away=self._refuse, tell=self._tell)

    def _refuse(self) -> None:
        self.refusing = True

    def _tell(self) -> None:
        """The gate knows; called by any thread."""
        self.server.told.append(self)
        with suppress(OSError):  # the drain is over and the trigger's pipe closed
            self.server.pull_trigger()

    def readable(self) -> bool:
        waiting = self.request is not None and self.request.waiting
        return not waiting and bool(super().readable())

    def go_on(self) -> None:
        """Take up the request for which the gate had to ask. Called by the thread that serves every connection."""
        with self.requests_lock:
            request = self.request
            if request is None or not request.waiting or self.will_close or self.close_when_flushed:
                return
            rest = request.go_on()
            if request.completed:
                self.request = None
                self.requests.append(request)
                if len(self.requests) == 1:
                    self.server.add_task(self)
            elif request.expect_continue and not self.requests and not self.sent_continue:
                self.send_continue()
        self.received(rest)

    def received(self, data: bytes) -> bool:
        if self.refusing:
            self.will_close = self.will_close or time.monotonic() > self._ebbed
            return True
        before = self.request
        taken = bool(super().received(data))
        if self.request is not before:
            self._coming = Pace(time.time())
        return taken

    def handle_write(self) -> None:
        if not (self.refusing and self.close_when_flushed):
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len:
            self.close_when_flushed, self._ebbed = False, time.monotonic() + EBB
            with suppress(OSError):  # the client has gone
                self.socket.shutdown(socket.SHUT_WR)

    def send(self, data: bytes, do_close: bool = True) -> int:
        is_loops = self.server.serving.channel is None  # none but the main loop closes, which owns the connections
        sent: int = super().send(data, do_close=do_close and is_loops)
        going = self._going  # this may be a request's thread
        if going:
            going.moved += sent
        return sent

    def flush(self) -> None:
        """Write what can be written. For the thread that serves this channel's request, while it does."""
        with self.outbuf_lock:
            if self.connected and self.total_outbufs_len:
                self._flush_exception(self._flush_some, do_close=False)

    def service(self) -> None:
        self.server.serving.channel = self
        try:
            super().service()
        finally:
            self.server.serving.channel = None

    def send_continue(self) -> None:
        """Ask for the body, unless there is none to come, or the request is refused already, or may yet be."""
        if self.request.waiting:
            return
        if self.request.error or self.request.body_rcv is None:
            self.request.expect_continue = False
        else:
            super().send_continue()

    def is_too_slow(self, now: float) -> bool:
        """Whether its request comes in, or its answer is taken, too slowly. Called every few seconds."""
        if self.total_outbufs_len:
            self._going = self._going or Pace(now)
            return self._going.is_late(now, self.adj.channel_timeout)
        self._going = None
        request = self.request
        if request is None or self._coming is None:
            return False
        if self.requests:  # one before it is under way, for which we may be the slow ones
            self._coming.began = now
        self._coming.moved = request.body_bytes_received
        return self._coming.is_late(now, self.adj.channel_timeout)


class Serving(threading.local):
    """The channel whose request a thread serves; None in the main loop."""

    channel: Channel | None = None


def _nothing() -> None:
    pass


class Server(TcpWSGIServer):  # type: ignore[misc]
    """One listening socket and its loop. ``serve`` blocks until ``stop`` was called and the drain is over."""

    channel_class = Channel

    def __init__(
        self, app: Callable[..., Any], at: str | socket.socket, gate: Gate | None = None, **adjustments: Any
    ) -> None:
        """``at``: host:port to bind, or a listening socket that somebody else holds too.

        ``gate``: says before a body is received why it may not come. Raises OSError when the address cannot be bound.
        """
        self.stopping, self._is_over, self.gate = False, False, gate
        self.told: deque[Channel] = deque()
        self.serving = Serving()
        self._connections = Connections()
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
        """Close connections that are idle, as waitress does, and those that dribble."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            if channel.is_too_slow(now):
                channel.will_close = True
            if channel.will_close:
                self._connections.touch(channel)

    def pull_trigger(self) -> None:
        """Wake the main loop; for a thread that serves a channel, only if that waits for something else by now."""
        channel = self.serving.channel
        if self._is_over or not (channel is None or self._connections.touch(channel)):
            return
        super().pull_trigger()

    def stop(self) -> None:
        """End ``serve``; may be called from a signal handler or another thread."""
        self.stopping = True
        with suppress(OSError):  # the drain is over and the trigger's pipe closed
            self.pull_trigger()

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
        while self.told:
            channel = self.told.popleft()
            try:
                channel.go_on()
            except Exception:  # noqa: BLE001 - logged and closed, as waitress does where it reads a connection
                channel.handle_error()
            self._connections.touch(channel)
        self._turned()

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
) -> Server:
    """The public server: a thread for each place to wait in, and ``SPARE`` more. ``at``, ``gate``: as above."""
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
