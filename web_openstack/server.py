"""Waitress as measured for this service, with a drain that loses nobody and errors that are problem documents."""

import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask

from skylens import logs
from skylens.errors import SettingsError
from web_openstack import problems

log = logs.get(__name__)

SPARE = 16
"""Threads beyond the slots: health, polling and refusals never wait for a waiting client."""


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


class Channel(HTTPChannel):  # type: ignore[misc]
    error_task_class = ProblemTask


class Server(TcpWSGIServer):  # type: ignore[misc]
    """One listening socket and its loop. ``serve`` blocks until ``stop`` was called and the drain is over."""

    channel_class = Channel

    def __init__(self, app: Callable[..., Any], listen: str, **adjustments: Any) -> None:
        """``listen``: host:port. Raises OSError when the address cannot be bound."""
        self._stopping = False
        adj = Adjustments(
            listen=listen,
            ident=None,
            expose_tracebacks=False,
            clear_untrusted_proxy_headers=True,
            asyncore_use_poll=True,
            asyncore_loop_timeout=1,
            channel_request_lookahead=1,
            channel_timeout=60,
            cleanup_interval=10,
            inbuf_overflow=64 * 1024,
            log_socket_errors=False,
            **adjustments,
        )
        super().__init__(app, map={}, adj=adj)

    @property
    def address(self) -> str:
        """``http://host:port`` as bound."""
        host = f"[{self.effective_host}]" if ":" in self.effective_host else self.effective_host
        return urlsplit(f"http://{host}:{self.effective_port}").geturl()

    def stop(self) -> None:
        """End ``serve``; may be called from a signal handler or another thread."""
        self._stopping = True
        with suppress(OSError):  # the drain is over and the trigger's pipe closed
            self.pull_trigger()

    def serve(self, on_stop: Callable[[], None] = lambda: None, drain: float = 5.0) -> None:
        """Serve until stopped, then drain.

        The drain stops accepting, calls ``on_stop`` (which wakes the waiters), and leaves when no request is in flight
        and every answer is written, or after ``drain`` seconds.
        """
        while not self._stopping:
            self._turn(1.0)
        wasyncore.dispatcher.close(self)
        on_stop()
        waited = threading.Event()
        timer = threading.Timer(drain, waited.set)
        timer.daemon = True
        timer.start()
        while self._busy() and not waited.is_set():
            self._turn(0.05)
        timer.cancel()
        log.info("web.drained", in_flight=self._busy(), in_time=not waited.is_set())
        self.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map)

    def _turn(self, timeout: float) -> None:
        wasyncore.loop(timeout=timeout, map=self._map, use_poll=True, count=1)

    def _busy(self) -> int:
        """Connections with a request under way or an answer not yet written."""
        return sum(bool(channel.requests or channel.total_outbufs_len) for channel in self.active_channels.values())


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


def public(app: Callable[..., Any], listen: str, *, slots: int, max_body: int, trusted_proxy: str) -> Server:
    """The public server: a thread for each client that may wait, and ``SPARE`` more."""
    proxy: dict[str, Any] = {}
    if trusted_proxy:
        proxy = {
            "trusted_proxy": trusted_proxy,
            "trusted_proxy_count": 1,
            "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"},
        }
    return Server(
        app,
        listen,
        threads=slots + SPARE,
        connection_limit=connections(slots),
        backlog=2048,
        max_request_body_size=max_body,
        max_request_header_size=32 * 1024,
        **proxy,
    )


def internal(app: Callable[..., Any], listen: str) -> Server:
    """The internal server: a few threads of its own, so that the autoscaler is heard under any load."""
    return Server(app, listen, threads=4, max_request_body_size=8 * 1024**2)
