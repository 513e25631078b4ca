"""Cuts requests out of a connection, so strictly that nobody in front of us can see one request where we see two.

Waitress takes more than RFC 9112 allows: Content-Length beside chunks, versions it does not know, folded headers, chunk
sizes that end in a bare line feed, and lines between chunks without limit, which it reads in quadratic time. Here each
of these is refused, and nothing behind a refused request is looked at. Blanks around a header's value mean nothing, and
never reach it: it reads these in quadratic time too.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.rfc7230 import CHUNK_EXT_RE, HEADER_FIELD_RE
from waitress.utilities import BadRequest

LINE = 4096
"""Most bytes of the line before a chunk, and of all that follows the last one."""
LINES = 128
"""Most lines of headers: each costs the main loop time, however short it is."""
FEW, SMALL = 100, 64
"""So many chunks may be of any size; for each more there must be so many bytes, for each costs the main loop time."""
_BEGIN = re.compile(rb"(?:\r\n)*(?:\r?\Z|[\x21-\x7e])")
"""Empty lines, as some clients send them after a body, then a method."""
_START = re.compile(
    rb"(?!CONNECT )[!#$%&'*+.^_`|~0-9A-Z-]+ (?:/|(?i:https?)://|\*(?= ))[\x21\x22\x24-\x7e\x80-\xff]* HTTP/1\.[01]"
)
"""Of a target in any other form, such as a:/path or /path#part, others may see no path, or not the one that we see.
And a proxy may take any 2xx to CONNECT for a tunnel, and look at nothing that comes through it."""
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_ONCE = (b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-disposition")
_SHORT = [b"accept", b"content-type", b"content-disposition", b"prefer"]
_SHORT += [b"if-none-match", b"if-modified-since", b"range"]
"""Headers whose parts are parsed, some in more than linear time."""
SHORT = 1024
"""Most bytes of one of these, in however many lines: who reads them sees one value. And of a query, which is kept."""


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """One request as it comes in. ``error`` is set, and the request complete, as soon as something is wrong."""

    path = ""
    body_rcv: Any = None

    def received(self, data: bytes) -> int:
        """Take bytes in; how many were of this request. All of them, once it is refused."""
        begins = self.body_rcv is None and not self.header_plus.strip()
        if begins and not _BEGIN.match(self.header_plus + data):
            self._refuse("a request must begin with its method")
            return len(data)
        try:
            taken: int = super().received(data)
        except ValueError:  # a number of thousands of digits, an address that is none
            self._refuse("a number or an address in the headers cannot be read")
        if self.empty:  # else a connection could be kept for ever with these
            self._refuse("there is no request in the empty lines")
        return len(data) if self.error else taken

    def _refuse(self, why: str) -> None:
        self.empty, self.completed, self.error = False, True, BadRequest(why)

    def parse_header(self, header_plus: bytes) -> None:
        if header_plus.count(b"\r\n") > LINES:
            raise ParsingError(f"more than {LINES} lines of headers")
        _check(header_plus)
        first, *lines = header_plus.split(b"\r\n")
        super().parse_header(b"\r\n".join([first, *map(_bare, lines)]))
        if self.chunked:
            self.body_rcv = Chunks(self.body_rcv.getbuf())


def _bare(line: bytes) -> bytes:
    """A header without the blanks around its value."""
    name, colon, value = line.partition(b":")
    return name + colon + value.strip(b" \t")


def _check(head: bytes) -> None:
    """Raise ParsingError, or TransferEncodingNotImplemented, for a head that others may read in another way."""
    first, *lines = head.split(b"\r\n")
    if not _START.fullmatch(first):
        raise ParsingError("the first line must be: METHOD target HTTP/1.1, or HTTP/1.0")
    if any(line[:1] in {b" ", b"\t"} for line in lines):
        raise ParsingError("a header must not go on in the next line")
    headers = [(name.lower(), value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)]
    counts = Counter(name for name, _ in headers)
    for name in _ONCE:
        if counts[name] > 1:
            raise ParsingError(f"more than one {name.decode()}")
    _check_lengths(first, headers)
    if first.endswith(b"1.1") and not counts[b"host"]:
        raise ParsingError("HTTP/1.1 needs a Host")
    coding = dict(headers).get(b"transfer-encoding")
    if coding is None:
        return
    if counts[b"content-length"]:
        raise ParsingError("send Content-Length or Transfer-Encoding, not both")
    if first.endswith(b"1.0"):
        raise ParsingError("HTTP/1.0 knows no Transfer-Encoding")
    if coding.lower() != b"chunked":
        raise TransferEncodingNotImplemented("Transfer-Encoding must be: chunked")


def _check_lengths(first: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    if len(first.split(b" ")[1].partition(b"?")[2]) > SHORT:
        raise ParsingError(f"the query is longer than {SHORT} bytes")
    for short in _SHORT:
        if len(b", ".join(value for name, value in headers if name == short)) > SHORT:
            raise ParsingError(f"{short.decode()} is longer than {SHORT} bytes")


class Chunks:
    """A chunked body on its way into waitress's buffer, as waitress's receivers are: ``completed``, ``error``."""

    def __init__(self, buffer: Any) -> None:
        self.completed = False
        self.error: BadRequest | None = None
        self._buffer = buffer
        self._line = b""
        self._left, self._trailer = 0, 0
        """Bytes left of the chunk, and taken of the trailer."""
        self._chunks, self._size_of_all = 0, 0
        self._next: Callable[[bytes], None] = self._size

    def __len__(self) -> int:
        return int(self._buffer.__len__())

    def getfile(self) -> Any:
        return self._buffer.getfile()

    def getbuf(self) -> Any:
        return self._buffer

    def received(self, data: bytes) -> int:
        """Take bytes in; how many were of this body."""
        at, parts = 0, []
        while at < len(data) and not self.completed and not self.error:
            if self._left:
                part = data[at : at + self._left]
                parts.append(part)
                self._left -= len(part)
                at += len(part)
            else:
                at = self._read_line(data, at)
        if parts:  # at once: each append may be several calls to the kernel
            self._buffer.append(b"".join(parts))
        return at

    def _read_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1
        self._line += data[at : end or None]
        if len(self._line) > LINE:
            self.error = BadRequest(f"a line between chunks is longer than {LINE} bytes")
        elif end:
            line, self._line = self._line, b""
            if line.endswith(b"\r\n") and b"\r" not in line[:-2]:
                self._next(line[:-2])
            else:
                self.error = BadRequest("a line between chunks does not end in CR LF")
        return end or len(data)

    def _size(self, line: bytes) -> None:
        size, semicolon, rest = line.partition(b";")
        if not _CHUNK_SIZE.fullmatch(size) or not CHUNK_EXT_RE.fullmatch(semicolon + rest):
            self.error = BadRequest("a chunk must begin with its size in hexadecimal digits")
            return
        self._left = int(size, 16)
        self._chunks += 1
        self._size_of_all += self._left
        if self._left and self._chunks > FEW and self._size_of_all < SMALL * (self._chunks - FEW):
            self.error = BadRequest(f"more than {FEW} chunks of less than {SMALL} bytes on average")
        self._next = self._end if self._left else self._trail

    def _end(self, line: bytes) -> None:
        if line:
            self.error = BadRequest("a chunk is longer than it says")
        self._next = self._size

    def _trail(self, line: bytes) -> None:
        """Trailers are read and dropped."""
        self._trailer += len(line)
        if self._trailer > LINE:
            self.error = BadRequest(f"the trailer is longer than {LINE} bytes")
        elif line and not HEADER_FIELD_RE.fullmatch(_bare(line)):
            self.error = BadRequest("the trailer holds what is no header")
        self.completed = not line
