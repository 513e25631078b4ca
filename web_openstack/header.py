"""Reads an image's header, and only that: kind, pixels, and whether the file is whole.

The door must refuse what no worker should touch, without decoding a pixel or allocating a canvas. So this walks the
chunks of PNG (W3C PNG 3), the segments of JPEG (ITU-T T.81 annex B) and the RIFF chunks of WebP (RFC 9649).
"""

import struct
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
        return _webp(data)
    raise _unsupported(data)


def _unsupported(data: bytes) -> SkylensError:
    if not data:
        return UnsupportedImageError("the image is empty: 0 bytes")
    if len(data) < 12 and (_PNG_MAGIC.startswith(data[:8]) or data[:3] == b"\xff\xd8\xff" or data[:4] == b"RIFF"):  # noqa: PLR2004 - the longest signature
        return UndecodableImageError("the image ends inside its header")
    return UnsupportedImageError("the bytes are not a PNG, JPEG or WebP image")


def _png(data: bytes) -> Header:
    length, name, width, height = struct.unpack_from(">I4sII", data, 8)
    if name != b"IHDR" or length != 13:  # noqa: PLR2004 - IHDR's fixed length
        raise UndecodableImageError("the PNG does not begin with its IHDR chunk")
    position, pixels = 8, False
    while True:
        if position + 12 > len(data):
            raise UndecodableImageError("the PNG is cut short: its IEND chunk is missing")
        length, name = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if name == b"IDAT":
            pixels = True
        if name == b"IEND":
            break
    if not pixels:
        raise UndecodableImageError("the PNG has no pixels: its IDAT chunk is missing")
    return Header(PNG, width, height)


def _jpeg(data: bytes) -> Header:
    position, size = 2, None
    while True:
        while data[position] == 0xFF and data[position + 1] == 0xFF:  # noqa: PLR2004 - fill bytes
            position += 1
        lead, marker = data[position], data[position + 1]
        if lead != 0xFF:  # noqa: PLR2004 - every marker's first byte
            raise UndecodableImageError(f"the JPEG is damaged at byte {position}")
        position += 2
        if marker in _JPEG_BARE:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, position + 3)
            size = Header(JPEG, width, height)
        position += length
        if marker == _START_OF_SCAN:
            break
    if size is None:
        raise UndecodableImageError("the JPEG has no frame header")
    if data.rfind(_END_OF_IMAGE, position) < 0:
        raise UndecodableImageError("the JPEG is cut short: its end marker is missing")
    scans.check(data)
    return size


def _webp(data: bytes) -> Header:
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        raise UndecodableImageError(f"the WebP is cut short: {len(data)} of {length + 8} bytes")
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
