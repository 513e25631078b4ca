"""A connection as waitress keeps it, framed strictly and never slow for ever, whose errors are problem documents."""

import logging
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import RequestEntityTooLarge, logger

from web_openstack import problems
from web_openstack.gate import CALLER, REFUSED
from web_openstack.incoming import STORED, Parser
from web_openstack.keys import masked
from web_openstack.pace import Pace

if TYPE_CHECKING:
    from web_openstack.server import Server

EBB = 10.0
"""Seconds for which a body that is refused, or too large, is read and thrown away once its answer is written: closed at
once, the connection would be reset by the bytes on their way, and the client might never see why."""


class Masked(logging.LoggerAdapter[logging.Logger]):
    """Waitress tells the path of a request that broke, in which a client may have put its key."""

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        return masked(str(msg)), kwargs


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
        environ[STORED] = self.request.close
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

    It has one request at a time: what a client sends behind it is not looked at before its answer is written, and more
    than one read of that is not taken. So a pipeline costs no more than its requests one by one. While a request waits,
    for the gate or for room, nothing is read. Until a body that is refused, or too large, has ebbed away, it stays open
    for reading.
    """

    task_class = LastTask
    error_task_class = ProblemTask
    logger = Masked(logger)
    request: Any
    will_close: bool
    close_when_flushed: bool
    requests: list[Any]
    total_outbufs_len: int
    sent_continue: bool
    refusing = False
    unread_since = 0.0
    """Ticks at which its client last took a byte, or had none to take."""
    _behind = b""
    """What came behind the request that is under way."""
    _ebbed = float("inf")
    _coming: Pace | None = None
    _going: Pace | None = None

    def __init__(self, server: "Server", *args: Any, **options: Any) -> None:
        super().__init__(server, *args, **options)
        self._parser = partial(Parser, self.adj, server.gate, server.room, server.memory, str(self.addr[0]))

    def _refuse(self) -> None:
        self.refusing = True

    def _tell(self) -> None:
        """A request's wait is over, or it is answered; called by any thread."""
        self.server.tell(self)

    @property
    def is_waiting(self) -> bool:
        """Whether its request waits for the gate or for room."""
        request = self.request  # another thread may end it
        return request is not None and bool(request.waiting)

    def readable(self) -> bool:
        return not self.is_waiting and not self._behind and bool(super().readable())

    def go_on(self) -> None:
        """Take up the request that had to wait, or what came behind one that is answered.

        Called by the thread that serves every connection.
        """
        with self.requests_lock:
            if not self.connected or self._is_closing():
                return
            if self.request is not None and self.request.waiting:
                self._behind = self.request.go_on() + self._behind
                if not self.request.waiting:
                    self._coming = Pace(time.time())
                    self._look()
            if not self.total_outbufs_len:
                self._parse()

    def received(self, data: bytes) -> bool:
        if self.refusing:
            self.will_close = self.will_close or self.is_ebbed()
            return True
        with self.requests_lock:
            if not data or self._is_closing():
                return False
            self._behind += data
            self._parse()
        return True

    def _is_closing(self) -> bool:
        return self.will_close or self.close_when_flushed

    def _parse(self) -> None:
        """Take the next request in, as much of it as is there, if none is under way."""
        while self.connected and self._behind and not self.requests and not self.refusing:
            if self.request is None:
                self.request, self._coming = self._parser(self._refuse, self._tell), Pace(time.time())
            self._behind = self._behind[self.request.received(self._behind) :]
            self._look()

    def _look(self) -> None:
        """Have the request answered if it is complete."""
        request = self.request
        if request.expect_continue and request.headers_finished and not self.sent_continue:
            self.send_continue()
        if request.completed:
            self.refusing = self.refusing or isinstance(request.error, RequestEntityTooLarge)
            self.request, self.sent_continue = None, False
            self.requests.append(request)
            self.server.add_task(self)

    def give_up(self) -> bool:
        """Tell a client that its body comes too slowly; False when it has not come as far as that.

        A proxy that is not told keeps its own client waiting.
        """
        with self.requests_lock:
            request = self.request
            if request is None or request.waiting or not request.headers_finished or self.total_outbufs_len:
                return False
            request.give_up()
            self._look()
            return True

    def handle_close(self) -> None:
        if self.request is not None:  # with its file, which would lie there until Python looks for cycles
            self.request.close()
        super().handle_close()

    def handle_write(self) -> None:
        if not (self.refusing and self.close_when_flushed):
            super().handle_write()
            if self._behind:
                self.go_on()
            return
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif self.connected and not self.total_outbufs_len:
            self.close_when_flushed, self._ebbed = False, time.monotonic() + EBB
            with suppress(OSError):  # the client has gone
                self.socket.shutdown(socket.SHUT_WR)

    def write_soon(self, data: Any) -> int:
        if not self.total_outbufs_len:
            self.unread_since = time.monotonic()
        written: int = super().write_soon(data)
        return written

    def send(self, data: bytes, do_close: bool = True) -> int:
        is_loops = self.server.serving.channel is None  # none but the main loop closes, which owns the connections
        sent: int = super().send(data, do_close=do_close and is_loops)
        if sent:
            self.unread_since = time.monotonic()
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
        if self._behind:
            self._tell()

    def send_continue(self) -> None:
        """Ask for the body, unless there is none to come, or the request is refused already, or may yet be."""
        if self.request.waiting:
            return
        if self.request.error or self.request.body_rcv is None:
            self.request.expect_continue = False
        else:
            super().send_continue()

    def is_ebbed(self) -> bool:
        """Whether a refused body had its time to ebb away."""
        return time.monotonic() > self._ebbed

    def is_too_slow(self, now: float) -> bool:
        """Whether its request comes in, or its answer is taken, too slowly. Called every few seconds."""
        if self.total_outbufs_len:
            self._going = self._going or Pace(now)
            return self._going.is_late(now, self.adj.channel_timeout)
        self._going = None
        request = self.request
        if request is None or self._coming is None:
            return False
        if self.requests or request.waiting:  # we are the slow ones, or who is asked, or another client
            self._coming.began = now
        self._coming.moved = request.body_bytes_received
        return self._coming.is_late(now, self.adj.channel_timeout)
