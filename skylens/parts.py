"""The parts of an image file: chunks of a PNG (W3C PNG 3), segments of a JPEG's header (ITU-T T.81 annex B).

Pillow reads all of them to show one pixel, and a few kinds cost it milliseconds each, whatever the picture's size. So
the door and the workers walk them first, from length to length, and refuse a file that has more of a kind than any
camera or program writes. The chunks of a WebP are read in C, a million in a tenth of a second: nobody counts them, but
``app_aws.decode`` has one of large tables at a time.

The walk must go where Pillow goes. What would lead the two apart is refused as damaged: a marker without a meaning in a
header, a length below its own two bytes, a PNG whose first chunk does not say what its pixels are.
"""

import re
import struct
from collections import Counter
from collections.abc import Iterator

from skylens.errors import UndecodableImageError

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
"""How the files begin."""
SIDE = 65_535
"""Pixels of the longest side that is taken, as a JPEG can have: Pillow has a pointer and more for each row, several
times over, so that fifty million rows of one pixel, 146 KB as a PNG, take two GiB."""
FRAMES = {0xC0, 0xC1, 0xC2}
"""Start-of-frame markers of what cameras and programs write: baseline, extended and progressive, coded by Huffman."""
_UNUSUAL = set(range(0xC3, 0xD0)) - {0xC4}
"""Lossless, hierarchical and arithmetic coding. A decoder of the last goes on for ever on no bytes: 11 KB of scans that
end at once, of a large picture, cost 400 seconds of CPU."""
_TABLES, _EXIF, _PHOTOSHOP, _START_OF_SCAN = 0xDB, 0xE1, 0xED, 0xDA
_BARE = {0x01, *range(0xD0, 0xD8)}
_KNOWN = _BARE | {*range(0xC0, 0xD0), *range(0xDA, 0xDE), *range(0xE0, 0xF0), 0xFE} - {0xC8}
_MARKER = re.compile(rb"\xff[^\0\xff]")
"""What stands before one is passed over: bytes that fill, and what a careless program left there."""
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PIXELS = {bytes((depth, colour)) for colour, depths in _DEPTHS.items() for depth in depths}
"""Bits of a channel and type of colour, as IHDR has them."""

_INFLATED, _CHUNKS, _SEGMENTS, _FILLING = (
    "compressed chunks (iCCP, zTXt, iTXt)",
    "chunks",
    "segments before its pixels",
    "bytes between its segments",
)
_FRAME, _TABLE, _TAGS, _RESOURCES = "frame headers", "quantisation segments", "Exif segments", "Photoshop segments"
MOST = {
    _CHUNKS: 10_000,
    _SEGMENTS: 10_000,
    _FILLING: 65_536,
    _INFLATED: 64,
    _FRAME: 4,
    _TABLE: 16,
    _TAGS: 16,
    _RESOURCES: 32,
}
"""The dear ones, measured with Pillow 13: 2.3 ms to inflate a MiB, 5.5 ms for 64 KiB of a frame header, 3.4 of tables,
2.6 of Photoshop's resources, 0.4 us for a byte between segments; each Exif segment copies all before it."""


def check(data: bytes) -> None:
    """Raise UndecodableImageError for a PNG or JPEG of too many parts; IndexError or struct.error for a JPEG cut short.

    Bytes of another kind are not looked at.
    """
    parts = chunks(data) if data.startswith(PNG) else segments(data) if data.startswith(JPEG) else ()
    for _ in parts:
        pass


def chunks(png: bytes) -> Iterator[bytes]:
    """The name of each chunk up to IEND, or to where the bytes end. Raises UndecodableImageError."""
    if png[12:16] != b"IHDR" or png[24:26] not in _PIXELS:
        raise UndecodableImageError("The PNG is damaged: it does not begin with an IHDR chunk that names its pixels")
    found: Counter[str] = Counter()
    position = 8
    while position + 12 <= len(png):
        length, name = struct.unpack_from(">I4s", png, position)
        _count(found, "PNG", _CHUNKS)
        if _is_inflated(png, name, position + 8, length):
            _count(found, "PNG", _INFLATED)
        yield name
        if name == b"IEND":
            return
        position += 12 + length


def segments(jpeg: bytes) -> Iterator[tuple[int, int]]:
    """Marker and position, just past the marker, of each segment up to the pixels.

    Raises UndecodableImageError, and IndexError or struct.error where the bytes end before the pixels.
    """
    found: Counter[str] = Counter()
    position, marker = 2, 0
    while marker != _START_OF_SCAN:
        end = min(len(jpeg), position + MOST[_FILLING] + 3)
        match = _MARKER.search(jpeg, position, end)
        _count(found, "JPEG", _FILLING, (match.start() if match else end) - position)
        if match is None:
            raise IndexError
        position, marker = match.end(), jpeg[match.start() + 1]
        if marker not in _KNOWN:
            raise UndecodableImageError(f"The JPEG is damaged at byte {position - 2}: no header holds FF {marker:02X}")
        if marker in _UNUSUAL:
            raise UndecodableImageError(
                f"The JPEG is coded in an unusual way (FF {marker:02X}); save it again, as baseline or progressive"
            )
        _count(found, "JPEG", _SEGMENTS)
        if marker in _BARE:
            continue
        (length,) = struct.unpack_from(">H", jpeg, position)
        if length < 2:  # noqa: PLR2004 - the length counts its own two bytes
            raise UndecodableImageError(f"The JPEG is damaged at byte {position}: a segment of {length} bytes")
        if kind := _dear(jpeg, marker, position + 2):
            _count(found, "JPEG", kind)
        yield marker, position
        position += length


def _is_inflated(png: bytes, name: bytes, start: int, length: int) -> bool:
    if name != b"iTXt":
        return name in {b"iCCP", b"zTXt"}
    flag = png.find(b"\0", start, start + length) + 1  # behind its keyword
    return flag > 0 and png[flag : flag + 1] != b"\0"


def _dear(jpeg: bytes, marker: int, start: int) -> str:
    if marker in FRAMES:
        return _FRAME
    if marker == _TABLES:
        return _TABLE
    if marker == _EXIF and jpeg.startswith(b"Exif\0\0", start):
        return _TAGS
    return _RESOURCES if marker == _PHOTOSHOP and jpeg.startswith(b"Photoshop 3.0\0", start) else ""


def _count(found: Counter[str], file: str, kind: str, more: int = 1) -> None:
    found[kind] += more
    if found[kind] > MOST[kind]:
        raise UndecodableImageError(f"The {file} has more than {MOST[kind]:,} {kind}; save it again, without metadata")
