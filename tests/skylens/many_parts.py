"""PNG and JPEG files that hold more than a picture: those that are refused, with what is said, and those taken."""

import io
import struct
import zlib

from PIL import Image

from skylens import parts

EXIF, PHOTOSHOP, XMP = b"Exif\0\0", b"Photoshop 3.0\0", b"http://ns.adobe.com/xap/1.0/\0"


def encoded(kind, **options):
    out = io.BytesIO()
    Image.linear_gradient("L").resize((24, 16)).convert("RGB").save(out, kind, **options)
    return out.getvalue()


PNG, JPEG = encoded("PNG"), encoded("JPEG")
BEHIND_IHDR, BEFORE_IEND = 33, -12


def chunk(name, data=b""):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks, place=BEHIND_IHDR):
    return PNG[:place] + b"".join(chunks) + PNG[place:]


def segment(marker, data=b""):
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg(*segments):
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


def own(name):
    """A segment that the JPEG has itself, whole."""
    start = JPEG.index(b"\xff" + bytes([name]))
    (length,) = struct.unpack_from(">H", JPEG, start + 2)
    return JPEG[start : start + 2 + length]


ZIPPED = zlib.compress(bytes(1000))
ICCP = chunk(b"iCCP", b"a profile\0\0" + ZIPPED)
ZTXT = chunk(b"zTXt", b"Comment\0\0" + ZIPPED)
ITXT = chunk(b"iTXt", b"Comment\0\1\0\0\0" + ZIPPED)
PLAIN_ITXT = chunk(b"iTXt", b"Comment\0\0\0\0\0words")
NAMELESS = chunk(b"zTXt", b"\0\0" + ZIPPED)
BROKEN = chunk(b"zTXt", b"Comment\0\0" + ZIPPED[:-4])
EXIF_BLOCK = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
TABLE, FRAME = 0xDB, 0xC0

REFUSED = [
    *(
        (name, png(*[one] * 65, place=place), "more than 64 compressed chunks")
        for name, one in (
            ("iccp", ICCP),
            ("ztxt", ZTXT),
            ("itxt", ITXT),
            ("nameless-text", NAMELESS),
            ("bad-zip", BROKEN),
        )
        for place in (BEHIND_IHDR, BEFORE_IEND)
    ),
    ("all-compressed", png(ICCP, *[ZTXT, ITXT] * 32), "more than 64 compressed chunks"),
    ("pixels-in-crumbs", png(*[chunk(b"IDAT")] * 10_000, place=BEFORE_IEND), "more than 10,000 chunks"),
    ("no-such-pixels", PNG[:24] + b"\3" + PNG[25:], "IHDR chunk that names its pixels"),
    ("no-ihdr", PNG[:8] + ICCP + PNG[8:], "IHDR chunk that names its pixels|begin with its IHDR"),
    ("exif", jpeg(*[segment(0xE1, EXIF + bytes(9))] * 17), "more than 16 Exif segments"),
    ("photoshop", jpeg(*[segment(0xED, PHOTOSHOP)] * 33), "more than 32 Photoshop segments"),
    ("tables", jpeg(*[own(TABLE)] * 17), "more than 16 quantisation segments"),
    ("frames", jpeg(*[own(FRAME)] * 5), "more than 4 frame headers"),
    ("no-segments", jpeg(b"\xff\xd0" * 10_001), "more than 10,000 segments"),
    *(
        (f"fill-{byte.hex()}", jpeg(segment(0xE3), byte * (65_537 // len(byte) + 1)), "more than 65,536 bytes between")
        for byte in (b"\xff", b"\0", b"\xff\0")
    ),
    ("fill-here-and-there", jpeg(*[segment(0xE3) + bytes(40_000)] * 2), "more than 65,536 bytes between"),
    (
        "hidden-by-a-marker",
        jpeg(b"\xff\xf0\xff\xff" + segment(0xE1, EXIF) * 17),
        "damaged at byte 2: no header holds FF F0",
    ),
    ("hidden-by-a-length", jpeg(b"\xff\xe3\0\0" + segment(0xE1, EXIF) * 17), "a segment of 0 bytes"),
]
"""No more than it takes to be refused; of 16 MiB each would cost a worker from one to twenty seconds."""

TAKEN = [
    ("one-iccp", png(ICCP)),
    ("one-exif-chunk", png(chunk(b"eXIf", EXIF_BLOCK))),
    ("exif-behind-pixels", png(chunk(b"eXIf", EXIF_BLOCK), place=BEFORE_IEND)),
    ("64-compressed", png(ICCP, *[ZTXT, ITXT] * 31, ITXT)),
    ("plain-texts", png(*[chunk(b"tEXt", b"Comment\0words"), PLAIN_ITXT] * 500)),
    ("many-idat", PNG[:BEFORE_IEND] + chunk(b"IDAT") * 2000 + PNG[BEFORE_IEND:]),
    ("animated-png", encoded("PNG", save_all=True, append_images=[Image.new("RGB", (24, 16))] * 100)),
    ("profile-of-255-parts", jpeg(*[segment(0xE2, b"ICC_PROFILE\0" + bytes((i, 255, i))) for i in range(1, 256)])),
    ("extended-xmp", jpeg(segment(0xE1, XMP), *[segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0")] * 300)),
    ("exif-and-xmp", jpeg(segment(0xE1, EXIF + EXIF_BLOCK), segment(0xE1, XMP), segment(0xED, PHOTOSHOP))),
    ("16-exif", jpeg(*[segment(0xE1, EXIF + EXIF_BLOCK)] * 16)),
    ("32-photoshop", jpeg(*[segment(0xED, PHOTOSHOP)] * 32)),
    ("16-tables", jpeg(*[own(TABLE)] * (16 - JPEG.count(b"\xff\xdb")))),
    ("comments", jpeg(*[segment(0xFE, b"words")] * 1000)),
    ("fill", jpeg(segment(0xE3), b"\xff" * 65_000)),
    ("left-overs", jpeg(segment(0xE3), b"left\xff\0over\xff\xff\0")),
    ("progressive", encoded("JPEG", progressive=True)),
]
"""What cameras and programs write, and the most of each."""


def bare(name):
    """The picture of one that is taken, without what it carries."""
    if name == "progressive":
        return dict(TAKEN)[name]
    return PNG if dict(TAKEN)[name].startswith(parts.PNG) else JPEG
