"""HTTP/1.1 over asyncio by h11: whole messages in and out, and connections that are cut as a network cuts them."""

import asyncio
import socket
import struct
from collections.abc import Awaitable
from contextlib import suppress
from typing import NamedTuple, TypeVar

import h11
from refusals import Answer

PIECE = 65536
BARE = ("connection", "content-length", "transfer-encoding", "keep-alive", "expect")
"""Headers of one connection, not of the message."""
T = TypeVar("T")


class CutError(Exception):
    """The connection to the client is to be cut, or was cut by it."""


class Asked(NamedTuple):
    """A whole request. ``headers``: names in lower case."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes


class Link:
    """One connection, of which we are the server (``h11.SERVER``) or the client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, role: type) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(role)

    async def _event(self) -> h11.Event | type:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._reader.read(PIECE))
        return event

    async def _message(self) -> tuple[h11.Event | type, bytes]:
        """The head of the next message, informational ones passed over, and its body."""
        head = await self._event()
        while isinstance(head, h11.InformationalResponse):
            head = await self._event()
        body = b""
        while isinstance(head, h11.Request | h11.Response) and isinstance(event := await self._event(), h11.Data):
            body += event.data
        return head, body

    async def asked(self) -> Asked | None:
        """The next request; None when the client has left."""
        head, body = await self._message()
        if not isinstance(head, h11.Request):
            return None
        return Asked(head.method.decode(), head.target.decode(), _headers(head), body)

    async def ask(self, asked: Asked, host: str) -> Answer:
        """Send a request to ``host`` and read its whole answer."""
        headers = [*_kept(asked.headers), ("Content-Length", str(len(asked.body))), ("Connection", "close")]
        if not any(name == "host" for name, _ in headers):
            headers.append(("Host", host))
        self._send(h11.Request(method=asked.method, target=asked.target, headers=headers))
        self._send(h11.Data(data=asked.body))
        self._send(h11.EndOfMessage())
        await self._writer.drain()
        head, body = await self._message()
        if not isinstance(head, h11.Response):
            raise CutError(f"{host} closed the connection before its answer")
        headers = _headers(head) if asked.method == "HEAD" else _kept(_headers(head))
        return Answer(head.status_code, headers, body)

    async def answer(self, answer: Answer, *, torn: bool = False) -> None:
        """Send an answer, or its first half."""
        headers = [(name, value) for name, value in answer.headers if name.lower() not in BARE]
        length = next((value for name, value in answer.headers if name.lower() == "content-length"), len(answer.body))
        if answer.status != 204:
            headers.append(("Content-Length", str(length)))
        head = self._http.send(h11.Response(status_code=answer.status, headers=headers)) or b""
        if torn:
            self._writer.write(head + answer.body[: len(answer.body) // 2] if answer.body else head[: len(head) // 2])
        else:
            self._writer.write(head)
            self._send(h11.Data(data=answer.body))
            self._send(h11.EndOfMessage())
        await self._writer.drain()

    async def meanwhile(self, work: Awaitable[T]) -> T:
        """The result of ``work``, given up when the client leaves meanwhile."""
        task, more = asyncio.ensure_future(work), asyncio.ensure_future(self._reader.read(PIECE))
        try:
            await asyncio.wait({task, more}, return_when=asyncio.FIRST_COMPLETED)
            if more.done():
                self._http.receive_data(more.result())
                if not more.result() and not task.done():
                    raise CutError("the client has left")
            return await task
        finally:
            for one in (task, more):
                one.cancel()
            await asyncio.wait({task, more})

    def next(self) -> bool:
        """Get ready for the next request; False when this one was the last."""
        with suppress(h11.LocalProtocolError):
            self._http.start_next_cycle()
            return True
        return False

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """End the connection by a reset: what was sent and not read yet is lost."""
        raw = self._writer.get_extra_info("socket")
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def _send(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")


def _headers(head: h11.Request | h11.Response) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in head.headers]


def _kept(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in BARE]
