"""The load: closed-loop clients over HTTP/1.1 with keep-alive, in a process of its own, ended by the clock.

``python load.py FILE``: the JSON file tells all of ``Order``; the outcome is printed as JSON. Only the standard library
and as little of it as will do: it shares the cores with what it measures.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

ANSWER_SECONDS = 60
CLOSED = b"\r\nconnection: close"


@dataclass(frozen=True)
class Order:
    port: int
    path: str
    type: str
    """The content type."""
    bodies: Sequence[str]
    """Files, sent in turn."""
    labels: Sequence[str]
    """The right answer to each."""
    where: Sequence[str | int]
    """The keys that lead to the label in a JSON answer; none: the answer is the label."""
    clients: int
    seconds: float


@dataclass
class Tally:
    spans: list[float] = field(default_factory=list)
    """Seconds from the first byte sent to the last received, of each 200."""
    wrong: int = 0
    errors: int = 0
    why: str = ""
    """The first error."""

    def failed(self, why: str) -> None:
        self.errors += 1
        self.why = self.why or why[:300]


def label(body: bytes, where: Sequence[str | int]) -> str:
    if not where:
        return body.decode()
    found: Any = json.loads(body)
    for key in where:
        found = found[key]
    return str(found)


def message(order: Order, body: bytes) -> bytes:
    head = f"POST {order.path} HTTP/1.1\r\nHost: 127.0.0.1:{order.port}\r\nContent-Type: {order.type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """Status, whether the connection stays, body. Raises OSError, EOFError and ValueError."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, stays = int(head.split(b" ", 2)[1]), CLOSED not in head
    if b"\r\ntransfer-encoding: chunked" in head:
        body = b""
        while size := int((await reader.readline()).partition(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
        return status, stays, body
    length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r")[0])
    return status, stays, await reader.readexactly(length)


class Load:
    def __init__(self, order: Order) -> None:
        self._order, self.tally = order, Tally()
        self._messages = [message(order, Path(name).read_bytes()) for name in order.bodies]
        self._turns: Iterator[int] = itertools.cycle(range(len(self._messages)))
        self._end = 0.0

    async def run(self) -> float:
        """The seconds that it took."""
        began = time.perf_counter()
        self._end = began + self._order.seconds
        await asyncio.gather(*(self._client() for _ in range(self._order.clients)))
        return time.perf_counter() - began

    async def _client(self) -> None:
        while time.perf_counter() < self._end:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._order.port, limit=2**20)
            except OSError as error:
                self.tally.failed(repr(error))
                await asyncio.sleep(0.05)
                continue
            try:
                async with asyncio.timeout(ANSWER_SECONDS + self._order.seconds):
                    await self._talk(reader, writer)
            except (OSError, EOFError, ValueError, TimeoutError) as error:
                self.tally.failed(repr(error))
            finally:
                writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the time is up, or the server closes the connection."""
        stays = True
        while stays and time.perf_counter() < self._end:
            turn, began = next(self._turns), time.perf_counter()
            writer.write(self._messages[turn])
            status, stays, body = await answer(reader)
            self._count(turn, time.perf_counter() - began, status, body)

    def _count(self, turn: int, span: float, status: int, body: bytes) -> None:
        if status != 200:
            self.tally.failed(f"{status}: {body.decode(errors='replace')}")
            return
        self.tally.spans.append(span)
        try:
            self.tally.wrong += label(body, self._order.where) != self._order.labels[turn]
        except (ValueError, LookupError, TypeError):
            self.tally.wrong += 1


def run(order: Mapping[str, Any]) -> dict[str, Any]:
    load = Load(Order(**order))
    seconds, tally = asyncio.run(load.run()), load.tally
    cuts = quantiles(tally.spans, n=100) if len(tally.spans) > 1 else [0.0] * 99
    counts = {"answers": len(tally.spans), "seconds": seconds, "p50": cuts[49], "p99": cuts[98]}
    return counts | {"wrong": tally.wrong, "errors": tally.errors, "why": tally.why}


if __name__ == "__main__":
    json.dump(run(json.loads(Path(sys.argv[1]).read_text("utf-8"))), sys.stdout)
