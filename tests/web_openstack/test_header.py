"""The door's own header reader agrees with Pillow on what is whole, and never raises anything but its own errors."""

import contextlib
import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from many_parts import REFUSED, TAKEN
from PIL import Image as Picture
from web_tier import picture

from skylens import scans
from skylens.errors import SkylensError, TooLargeError, UndecodableImageError, UnsupportedImageError
from skylens.parts import SIDE
from web_openstack import header

MANY = 50_000_000
CASES = [("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")] + [
    ("JPEG", "L", {}),
    ("JPEG", "RGB", {}),
    ("JPEG", "CMYK", {}),
    ("JPEG", "RGB", {"progressive": True}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {}),
    ("WEBP", "RGB", {"lossless": True}),
]


@pytest.mark.parametrize(("kind", "mode", "options"), CASES)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (257, 130)])
def test_it_reads_what_pillow_writes(kind, mode, options, size):
    read = header.check(picture(kind, size, mode, **options), MANY)
    assert (read.kind, read.width, read.height) == (f"image/{kind.lower()}", *size)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_animated_one_is_read_like_any_other(kind):
    frames = [Picture.new("RGB", (8, 5), color) for color in ("red", "blue")]
    out = io.BytesIO()
    if kind == "JPEG":
        frames[0].save(out, "MPO", save_all=True, append_images=frames[1:])
    else:
        frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    assert header.check(out.getvalue(), MANY)[1:] == (8, 5)


@pytest.mark.parametrize(("kind", "mode", "options"), CASES)
def test_the_first_bytes_tell_the_same_as_the_whole(kind, mode, options):
    whole = picture(kind, (257, 130), mode, **options)
    assert header.peek(whole[:1000], len(whole), MANY) == header.check(whole, MANY)
    with pytest.raises(TooLargeError):
        header.peek(whole[:1000], len(whole), 257 * 130 - 1)


def test_a_png_of_endless_chunks_is_refused_and_one_of_many_is_not():
    whole = picture("PNG", (40, 30))
    empty = struct.pack(">I4sI", 0, b"teXt", zlib.crc32(b"teXt"))
    assert header.check(whole[:33] + empty * 9000 + whole[33:], MANY)[1:] == (40, 30)
    with pytest.raises(UndecodableImageError, match="10,000 chunks"):
        header.check(whole[:33] + empty * 10_000 + whole[33:], MANY)


def test_a_jpeg_of_endless_segments_is_refused_and_bytes_that_fill_cost_nothing():
    whole = picture("JPEG", (40, 30))
    assert header.check(whole[:2] + b"\xff" * 65_000 + whole[2:], MANY)[1:] == (40, 30)
    with pytest.raises(UndecodableImageError, match="65,536 bytes between"):
        header.check(whole[:2] + b"\xff" * 20_000_000 + whole[2:], MANY)
    with pytest.raises(UndecodableImageError, match="10,000 segments"):
        header.check(whole[:2] + b"\xff\xe0\0\2" * 10_000 + whole[2:], MANY)


@pytest.mark.parametrize(("data", "said"), [pytest.param(*rest, id=name) for name, *rest in REFUSED])
def test_an_image_of_too_many_costly_parts_is_refused(data, said):
    with pytest.raises(UndecodableImageError, match=said):
        header.check(data, MANY)


EARLY = [(name, *rest) for name, *rest in REFUSED if name != "frames"]
"""What stands before the size, or in a PNG behind it."""


@pytest.mark.parametrize(("data", "said"), [pytest.param(*rest, id=name) for name, *rest in EARLY])
def test_so_it_is_by_its_first_bytes(data, said):
    with pytest.raises(UndecodableImageError, match=said):
        header.peek(data[:-12], len(data), MANY)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in TAKEN])
def test_what_cameras_and_programs_add_to_an_image_is_taken(data):
    assert header.check(data, MANY)[1:] == (24, 16)
    assert header.peek(data, len(data), MANY)[1:] == (24, 16)


def test_a_jpeg_whose_header_is_far_behind_is_refused_by_its_first_bytes():
    whole = picture("JPEG", (40, 30), exif=b"Exif\0\0" + bytes(60_000))
    assert header.peek(whole[:61_000], len(whole), MANY)[1:] == (40, 30)
    with pytest.raises(UndecodableImageError, match="no header in its first 1,000 bytes"):
        header.peek(whole[:1000], len(whole), MANY)


@given(st.binary(max_size=60), st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b""]))
def test_first_bytes_of_anything_raise_nothing_but_its_own_errors(tail, magic):
    with contextlib.suppress(SkylensError):
        header.peek(magic + tail, 1000, MANY)


def test_a_jpeg_with_a_thumbnail_inside_is_measured_by_its_own_frame():
    exif = b"Exif\0\0" + picture("JPEG", (2, 2))
    assert header.check(picture("JPEG", (40, 30), exif=exif), MANY)[1:] == (40, 30)


@pytest.mark.parametrize(("kind", "mode", "options"), CASES)
def test_it_refuses_every_cut(kind, mode, options):
    whole = picture(kind, (33, 21), mode, **options)
    tail = len(whole) - (8 if kind == "WEBP" else 2)
    for length in {*range(1, min(64, tail)), tail // 2, tail - 1}:
        with pytest.raises((UndecodableImageError, UnsupportedImageError)):
            header.check(whole[:length], MANY)


def test_bytes_after_the_image_do_no_harm():
    for kind in ("PNG", "JPEG", "WEBP"):
        assert header.check(picture(kind) + b"trailing rubbish", MANY)


def bomb(width, height):
    """A small PNG whose header promises a huge picture."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_a_bomb_is_known_by_its_header():
    with pytest.raises(TooLargeError, match="50000 x 50000"):
        header.check(bomb(50_000, 50_000), MANY)


@pytest.mark.parametrize("marker", sorted({*range(0xC3, 0xD0)} - {0xC4, 0xC8}))
def test_a_jpeg_of_unusual_coding_is_refused(marker):
    """An arithmetic one of 11 KB takes its decoder minutes."""
    data = picture("JPEG", (64, 48))
    at = data.index(b"\xff\xc0") + 1
    wanted = {header.Header("image/jpeg", 64, 48)}
    assert {header.check(data, MANY), header.peek(data[:1000], len(data), MANY)} == wanted
    unusual = data[:at] + bytes([marker]) + data[at + 1 :]
    for refused in (lambda: header.check(unusual, MANY), lambda: header.peek(unusual[:1000], len(data), MANY)):
        with pytest.raises(UndecodableImageError, match=f"unusual way .FF {marker:02X}"):
            refused()


@pytest.mark.parametrize(("width", "height"), [(1, SIDE), (SIDE, 1)])
def test_no_side_is_longer_than_that_of_a_jpeg_can_be(width, height):
    """A row costs Pillow far more than its pixels, if these are few."""
    data = bomb(width, height)
    assert header.check(data, 50_000_000)[1:] == (width, height)
    longer = bomb(width + (width == SIDE), height + (height == SIDE))
    for refused in (lambda: header.check(longer, 50_000_000), lambda: header.peek(longer[:60], 1000, 50_000_000)):
        with pytest.raises(TooLargeError, match="at most 65,535 a side"):
            refused()


EMPTY_SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00"


@pytest.mark.parametrize(("size", "allowed"), [((16, 16), scans.MOST), ((2500, 2001), scans.FEW)])
def test_a_jpeg_of_too_many_scans_is_refused(size, allowed):
    whole = picture("JPEG", size, "L", progressive=True)
    own = whole.count(b"\xff\xda")
    most = whole[:-2] + EMPTY_SCAN * (allowed - own) + whole[-2:]
    assert header.check(most, 50_000_000)[1:] == size
    with pytest.raises(UndecodableImageError, match=f"more than {allowed} scans"):
        header.check(most[:-2] + EMPTY_SCAN + most[-2:], 50_000_000)


def test_a_film_behind_a_jpeg_is_no_scan():
    assert header.check(picture("JPEG", (16, 16)) + b"\xff\xda\x12\x34" * 1000, MANY)


def test_an_image_of_no_size_is_damaged():
    with pytest.raises(UndecodableImageError, match="0 x 7"):
        header.check(bomb(0, 7), MANY)


@pytest.mark.parametrize("data", [b"", b"GIF89a" + b"\0" * 40, b"BM" + b"\0" * 60, b"<svg/>", b"%PDF-1.7", b"\0" * 100])
def test_other_kinds_are_unsupported(data):
    with pytest.raises(UnsupportedImageError):
        header.check(data, MANY)


@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x20\0\0\0WEBPVP8 ", b"RIFF\xff\0\0\0WEBPVP8X"]),
    st.binary(max_size=400),
)
def test_no_bytes_raise_anything_else(prefix, rest):
    with contextlib.suppress(SkylensError):
        header.check(prefix + rest, MANY)


@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.data())
def test_flipped_bytes_raise_nothing_else(kind, data):
    whole = bytearray(picture(kind, (40, 30)))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(SkylensError):
        header.check(bytes(whole), MANY)


@pytest.mark.parametrize("form", [b"VP8X", b"VP8L", b"VP8 "])
def test_a_webp_whose_own_length_agrees_but_holds_no_size_is_damaged(form):
    with pytest.raises(UndecodableImageError):
        header.check(b"RIFF" + (8).to_bytes(4, "little") + b"WEBP" + form, MANY)
