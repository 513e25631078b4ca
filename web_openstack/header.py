"""Reads an image's header, and only that: kind, pixels, and whether the file is whole.

The door must refuse what no worker should touch, without decoding a pixel or allocating a canvas. So this walks the
chunks of PNG (W3C PNG 3), the segments of JPEG (ITU-T T.81 annex B) and the RIFF chunks of WebP (RFC 9649).
"""

import struct
from typing import NamedTuple

from skylens import parts, scans
from skylens.errors import SkylensError, TooLargeError, UndecodableImageError, UnsupportedImageError

PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
KINDS = (PNG, JPEG, WEBP)

_END_OF_IMAGE = b"\xff\xd9"


class Header(NamedTuple):
    """``kind``: media type by content, whatever the client called it; sizes in pixels."""

    kind: str
    width: int
    height: int


def check(data: bytes, max_pixels: int) -> Header:
    """The header of a whole, acceptable image.

    Raises UnsupportedImageError (not PNG, JPEG or WebP), UndecodableImageError (damaged, cut short, of too many parts,
    or a JPEG of too many scans), TooLargeError (more than ``max_pixels`` pixels, or ``parts.SIDE`` a side).
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
    if max(header.width, header.height) > parts.SIDE:
        raise TooLargeError(
            f"the image has {header.width} x {header.height} pixels; at most {parts.SIDE:,} a side are taken"
        )
    if header.width * header.height > max_pixels:
        raise TooLargeError(
            f"the image has {header.width} x {header.height} pixels; at most {max_pixels:,} in all are taken"
        )
    return header


def _read(data: bytes) -> Header:
    if data.startswith(parts.PNG):
        return _png(data)
    if data.startswith(parts.JPEG):
        return _jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data, len(data))
    raise _unsupported(data)


def _peek(start: bytes, size: int) -> Header:
    if start.startswith(parts.PNG):
        header = _ihdr(start)
        parts.check(start)
        return header
    if start.startswith(parts.JPEG):
        frames = (_frame(start, position) for marker, position in parts.segments(start) if marker in parts.FRAMES)
        return _framed(next(frames, None))
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _webp(start, size)
    raise _unsupported(start)


def _unsupported(data: bytes) -> SkylensError:
    if not data:
        return UnsupportedImageError("the image is empty: 0 bytes")
    if len(data) < 12 and (parts.PNG.startswith(data[:8]) or data[:3] == parts.JPEG or data[:4] == b"RIFF"):  # noqa: PLR2004 - the longest signature
        return UndecodableImageError("the image ends inside its header")
    return UnsupportedImageError("the bytes are not a PNG, JPEG or WebP image")


def _ihdr(data: bytes) -> Header:
    length, name, width, height = struct.unpack_from(">I4sII", data, 8)
    if name != b"IHDR" or length != 13:  # noqa: PLR2004 - IHDR's fixed length
        raise UndecodableImageError("the PNG does not begin with its IHDR chunk")
    return Header(PNG, width, height)


def _png(data: bytes) -> Header:
    header = _ihdr(data)
    names = set(parts.chunks(data))
    if b"IEND" not in names:
        raise UndecodableImageError("the PNG is cut short: its IEND chunk is missing")
    if b"IDAT" not in names:
        raise UndecodableImageError("the PNG has no pixels: its IDAT chunk is missing")
    return header


def _frame(data: bytes, position: int) -> Header:
    height, width = struct.unpack_from(">HH", data, position + 3)
    return Header(JPEG, width, height)


def _jpeg(data: bytes) -> Header:
    size, pixels = None, 0
    for marker, position in parts.segments(data):
        if marker in parts.FRAMES:
            size = _frame(data, position)
        pixels = position
    header = _framed(size)
    (length,) = struct.unpack_from(">H", data, pixels)
    if data.rfind(_END_OF_IMAGE, pixels + length) < 0:
        raise UndecodableImageError("the JPEG is cut short: its end marker is missing")
    scans.check(data, header.width * header.height)
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
