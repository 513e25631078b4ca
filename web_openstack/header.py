"""Reads an image's header, and only that: kind, pixels, and whether the file is whole.

The door must refuse what no worker should touch, without decoding a pixel or allocating a canvas. So this walks the
chunks of PNG (W3C PNG 3), the segments of JPEG (ITU-T T.81 annex B) and the RIFF chunks of WebP (RFC 9649).
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from skylens import scans
from skylens.errors import SkylensError, TooLargeError, UndecodableImageError, UnsupportedImageError

PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
KINDS = (PNG, JPEG, WEBP)

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_SIZES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers; the three left out are Huffman tables, a reserved one and arithmetic conditioning."""
_JPEG_BARE = {0x01, *range(0xD0, 0xD8)}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, b"\xff\xd9"
_FILL = re.compile(rb"\xff*(?=\xff)")
"""Bytes that may stand before a marker, which begins with one."""
PARTS = 10_000
"""Most chunks of a PNG, or segments of a JPEG's header; encoders write a hundred of the large images that are taken."""


class Header(NamedTuple):
    """``kind``: media type by content, whatever the client called it; sizes in pixels."""

    kind: str
    width: int
    height: int


def check(data: bytes, max_pixels: int) -> Header:
    """The header of a whole, acceptable image.

    Raises UnsupportedImageError (not PNG, JPEG or WebP), UndecodableImageError (damaged, cut short, or a JPEG of too
    many scans), TooLargeError (more than ``max_pixels`` pixels).
    """
    try:
        header = _read(data)
    except (struct.error, IndexError):
        raise UndecodableImageError("the image ends inside its header") from None
    return _bounded(header, max_pixels)


def peek(start: bytes, size: int, max_pixels: int) -> Header:
    """The header of an image of ``size`` bytes of which only the first ones are at hand. Raises as ``check`` does.

    Whether the image is whole cannot be seen from them.
    """
    try:
        header = _peek(start, size)
    except (struct.error, IndexError):
        raise UndecodableImageError(f"the image has no header in its first {len(start):,} bytes") from None
    return _bounded(header, max_pixels)


def _bounded(header: Header, max_pixels: int) -> Header:
    if header.width < 1 or header.height < 1:
        raise UndecodableImageError(f"the image's header says {header.width} x {header.height} pixels")
    if header.width * header.height > max_pixels:
        raise TooLargeError(
            f"the image has {header.width} x {header.height} pixels; at most {max_pixels:,} in all are taken"
        )
    return header


def _read(data: bytes) -> Header:
    if data.startswith(_PNG_MAGIC):
        return _png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data, len(data))
    raise _unsupported(data)


def _peek(start: bytes, size: int) -> Header:
    if start.startswith(_PNG_MAGIC):
        return _ihdr(start)
    if start.startswith(b"\xff\xd8\xff"):
        frames = (_frame(start, position) for marker, position in _segments(start) if marker in _JPEG_SIZES)
        return _framed(next(frames, None))
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _webp(start, size)
    raise _unsupported(start)


def _unsupported(data: bytes) -> SkylensError:
    if not data:
        return UnsupportedImageError("the image is empty: 0 bytes")
    if len(data) < 12 and (_PNG_MAGIC.startswith(data[:8]) or data[:3] == b"\xff\xd8\xff" or data[:4] == b"RIFF"):  # noqa: PLR2004 - the longest signature
        return UndecodableImageError("the image ends inside its header")
    return UnsupportedImageError("the bytes are not a PNG, JPEG or WebP image")


def _ihdr(data: bytes) -> Header:
    length, name, width, height = struct.unpack_from(">I4sII", data, 8)
    if name != b"IHDR" or length != 13:  # noqa: PLR2004 - IHDR's fixed length
        raise UndecodableImageError("the PNG does not begin with its IHDR chunk")
    return Header(PNG, width, height)


def _png(data: bytes) -> Header:
    header = _ihdr(data)
    position, pixels = 8, False
    for _ in range(PARTS):
        if position + 12 > len(data):
            raise UndecodableImageError("the PNG is cut short: its IEND chunk is missing")
        length, name = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if name == b"IDAT":
            pixels = True
        if name == b"IEND":
            break
    else:
        raise UndecodableImageError(f"the PNG has more than {PARTS:,} chunks; save it again")
    if not pixels:
        raise UndecodableImageError("the PNG has no pixels: its IDAT chunk is missing")
    return header


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and position, just past the marker, of each segment up to the pixels."""
    position = 2
    for _ in range(PARTS):
        if fill := _FILL.match(data, position):
            position = fill.end()
        lead, marker = data[position], data[position + 1]
        if lead != 0xFF:  # noqa: PLR2004 - every marker's first byte
            raise UndecodableImageError(f"the JPEG is damaged at byte {position}")
        position += 2
        if marker not in _JPEG_BARE:
            yield marker, position
            (length,) = struct.unpack_from(">H", data, position)
            position += length
        if marker == _START_OF_SCAN:
            return
    raise UndecodableImageError(f"the JPEG has more than {PARTS:,} segments before its pixels; save it again")


def _frame(data: bytes, position: int) -> Header:
    height, width = struct.unpack_from(">HH", data, position + 3)
    return Header(JPEG, width, height)


def _jpeg(data: bytes) -> Header:
    size, pixels = None, 0
    for marker, position in _segments(data):
        if marker in _JPEG_SIZES:
            size = _frame(data, position)
        pixels = position
    header = _framed(size)
    (length,) = struct.unpack_from(">H", data, pixels)
    if data.rfind(_END_OF_IMAGE, pixels + length) < 0:
        raise UndecodableImageError("the JPEG is cut short: its end marker is missing")
    scans.check(data)
    return header


def _framed(header: Header | None) -> Header:
    if header is None:
        raise UndecodableImageError("the JPEG has no frame header")
    return header


def _webp(data: bytes, size: int) -> Header:
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > size:
        raise UndecodableImageError(f"the WebP is cut short: {size} of {length + 8} bytes")
    if len(data) < 30:  # noqa: PLR2004 - the shortest header that holds a size
        raise UndecodableImageError("the WebP ends inside its header")
    form = data[12:16]
    if form == b"VP8X":
        return Header(WEBP, int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1)
    if form == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return Header(WEBP, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if form == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header(WEBP, width & 0x3FFF, height & 0x3FFF)
    raise UndecodableImageError("the WebP does not begin with a VP8, VP8L or VP8X chunk")
