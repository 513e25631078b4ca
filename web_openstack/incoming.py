"""A request as it comes in: before its body is received it is asked who sends it, and then whether there is room."""

import io
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from waitress.adjustments import Adjustments

from skylens.errors import BadRequestError, SkylensError, TooSlowError, UnavailableError
from web_openstack import framing
from web_openstack.audit import network
from web_openstack.callers import Caller, Tell
from web_openstack.gate import Gate, refusal
from web_openstack.room import Place, Room

STEP = 1024**2
"""Bytes of the room that a body of unknown length has at first, and as often twice as many as turn out to be needed."""
RETRY_AFTER = 5
"""Seconds after which to try again where there is no room."""
JSON_WEIGHT, JSON_FREE = 16, 4096
"""Bytes of memory that a byte of JSON may take once it is read: a list of keys is texts and names of up to four bytes a
character, and what becomes of each. So much of it is not counted."""
BODILESS = ("GET", "HEAD", "OPTIONS")
"""Methods whose body nobody reads."""
STORED = "skylens.stored"
"""In a request's environment: to be called once its image is stored, for then its room is for others.

What nobody read of the body, as what is behind the end of a form, goes with it.
"""


class Parser(framing.Parser):
    """A request whose body was refused is complete with its headers; ``turned_away`` hears of it.

    The application answers it as any other, so that there is one place for errors, logs and metrics.

    While it is ``waiting``, for the gate or for room, it is not complete, and keeps what came with its headers.
    ``tell`` is called when the wait is over; then ``go_on`` is to be, by the thread that serves every connection.
    """

    completed: bool
    body_bytes_received: int

    def __init__(
        self,
        adj: Adjustments,
        gate: Gate | None,
        room: Room | None,
        memory: Room | None,
        peer: str,
        turned_away: Callable[[], None],
        tell: Tell,
    ) -> None:
        """``room``: needed for bodies that are not small; ``memory``: to read them then; None takes in any.

        ``peer``: the address of who is connected.
        """
        super().__init__(adj)
        self._peer = peer
        self.refused: SkylensError | None = None
        self.caller: Caller | None = None
        self.waiting: Callable[[], None] | None = None
        """What is to be done once the wait is over."""
        self._gate, self._room, self._memory, self._turned_away, self._tell = gate, room, memory, turned_away, tell
        self._told = threading.Event()
        """Of the wait that was asked for last: one that is over may be told of late."""
        self._place: Place | None = None
        self._kept: Place | None = None
        """Its place in memory, once it is all here."""
        self._bodiless, self._rest = False, b""

    def received(self, data: bytes) -> int:
        if self.waiting:
            self._rest += data
            return len(data)
        taken: int = super().received(data)
        if self.headers_finished and not self.error and self._has_a_body_for_nobody():
            self._turn_away(BadRequestError(f"a {self.command} has no body"))
        elif self._gate and self.headers_finished and not self.error:
            self._ask(self._gate)
        elif self._place and not self.completed and self.body_bytes_received > self._place.size:
            self._grow(self._place)
        if self.completed and not (self.error or self.refused) and (self._place or self._json()):
            self._find_memory()
        return len(data) if self.refused else taken

    def _has_a_body_for_nobody(self) -> bool:
        """Nobody reads that of a GET; a proxy would wait for it after a good answer."""
        return self.command in BODILESS and bool(self.chunked or self.content_length)

    def go_on(self) -> bytes:
        """Take the next step if the wait is over; what came after the headers and is still to be looked at."""
        if self.waiting and self._told.is_set():
            step, self.waiting = self.waiting, None
            step()
        if self.waiting:
            return b""
        rest, self._rest = self._rest, b""
        return b"" if self.refused else rest

    def give_up(self) -> None:
        """Refuse a body that comes too slowly."""
        self._turn_away(TooSlowError("the body came in too slowly; send it again"))

    def leave(self) -> None:
        """Give back the room that the body has."""
        for room, place in ((self._room, self._place), (self._memory, self._kept)):
            if room and place:
                room.leave(place)

    def close(self) -> None:
        with suppress(OSError):  # its last bytes found no room on the disk
            super().close()
        self._rest = b""
        self.leave()

    def get_body_stream(self) -> IO[bytes] | io.RawIOBase:
        """The body. Once it is read it is let go, however long the answer takes.

        It keeps its room until it is ``STORED``: what was read is in memory, and a bucket may be slow.
        """
        stream: IO[bytes] = super().get_body_stream()
        return _Body(stream, len(self.body_rcv), super().close) if self.body_rcv else stream

    def _hear(self) -> Tell:
        """What to call when the wait that now begins is over."""
        told = self._told = threading.Event()

        def hear() -> None:
            told.set()
            self._tell()

        return hear

    def _ask(self, gate: Gate) -> None:
        self._gate, self._bodiless = None, self.completed

        def decide() -> None:
            self.completed = self._bodiless
            self._judge(gate)

        if gate.ready(self._header, self._hear()):
            decide()
        else:
            self.waiting, self.completed = decide, False

    def _judge(self, gate: Gate) -> None:
        verdict = gate.verdict(self._header)
        self.caller = verdict if isinstance(verdict, Caller) else None
        if self._bodiless:
            return
        if why := refusal(verdict):
            self._turn_away(why)
        elif self.caller:
            self._find_room(self._sharer(self.caller))

    def _sharer(self, caller: Caller) -> str:
        """Whose the room is: the tenant's; where nobody is asked who they are, that of the network they come from."""
        if caller.key:
            return caller.tenant
        proxied = self._header("X-Forwarded-For") if self.adj.trusted_proxy in {"*", self._peer} else None
        return network(proxied.rpartition(",")[2].strip() if proxied else self._peer)

    def _find_room(self, sharer: str) -> None:
        size = STEP if self.chunked else self.content_length
        if self._room and size >= self.adj.inbuf_overflow:
            self._place = self._room.ask(sharer, size, self._hear())
            if not self._place.taken:
                self.waiting = self._enter

    def _enter(self) -> None:
        if self._place and not self._place.taken:
            self._turn_away(_no_room())

    def _json(self) -> int:
        """Bytes of JSON that are worth counting."""
        is_json = (self._header("Content-Type") or "").partition(";")[0].strip().lower() == "application/json"
        return self.body_bytes_received if is_json and self.body_bytes_received > JSON_FREE else 0

    def _find_memory(self) -> None:
        """Let it be read as soon as there is memory for it; until then it lies on disk, or is small."""
        if self._memory and self.caller and not self._kept:
            size = JSON_WEIGHT * self._json() or self.body_bytes_received
            self._kept = self._memory.ask(self._sharer(self.caller), size, self._hear())
            if not self._kept.taken:
                self.waiting, self.completed = self._read, False

    def _read(self) -> None:
        self.completed = True
        if self._kept and not self._kept.taken:
            self._turn_away(_no_room())

    def _grow(self, place: Place) -> None:
        if self._room and not self._room.grow(place, min(2 * place.size, self.adj.max_request_body_size)):
            self._turn_away(_no_room())

    def _turn_away(self, why: SkylensError) -> None:
        self.close()
        self._place, self.refused = None, why
        self.body_rcv, self.expect_continue, self.completed = None, False, True
        self.headers["CONTENT_LENGTH"] = "0"
        self._turned_away()

    def _header(self, name: str) -> str | None:
        value: str | None = self.headers.get(name.upper().replace("-", "_"))
        return value


class _Body(io.RawIOBase):
    """A body, which is ``done`` with as soon as its last byte was read. It is all here: no read comes up short."""

    def __init__(self, stream: IO[bytes], size: int, done: Callable[[], None]) -> None:
        super().__init__()
        self._stream, self._left, self._done = stream, size, done

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if not self._left:
            return b""
        data = self._stream.read(size)
        self._left -= len(data)
        if not self._left:
            self._done()
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _no_room() -> SkylensError:
    detail = "as many bodies are coming in as there is room for"
    return UnavailableError(detail, retry_after=RETRY_AFTER, reason="overload")
