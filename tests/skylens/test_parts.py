"""The walk over an image's parts goes where Pillow goes, and ends where too many of them begin."""

import contextlib
import io
import struct
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from many_parts import EXIF, ICCP, JPEG, PNG, REFUSED, TAKEN, chunk, jpeg, segment
from PIL import Image, JpegImagePlugin, PngImagePlugin

from skylens import parts
from skylens.errors import UndecodableImageError


@pytest.mark.parametrize(("data", "said"), [pytest.param(*rest, id=name) for name, *rest in REFUSED])
def test_too_many_parts_are_refused_with_their_kind_and_the_most(data, said):
    with pytest.raises(UndecodableImageError, match=said):
        parts.check(data)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in TAKEN])
def test_what_cameras_and_programs_write_is_taken(data):
    parts.check(data)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"RIFF\4\0\0\0WEBP", b"\xff\xd8"])
def test_other_bytes_are_not_looked_at(data):
    parts.check(data)


def test_a_jpeg_cut_inside_its_header_is_an_error_and_no_hang():
    for length in range(JPEG.index(b"\xff\xda")):
        with pytest.raises((IndexError, struct.error)):
            list(parts.segments(JPEG[:length]))


PIECES = [
    b"\xff",
    b"\0",
    b"x",
    b"\xff\0",
    b"\xff\xd0",
    b"\xff\1",
    b"\xff\xd8",
    b"\xff\xd9",
    b"\xff\xc8",
    b"\xff\xdf\0\2",
    b"\xff\xf0",
    b"\xff\xe5\0\0",
    b"\xff\xe5\0\1",
    b"\xff\xe5\0\7",
    segment(0xE5),
    segment(0xE5, b"\xff\xfe\0\3!"),
    segment(0xFE, b"words"),
    segment(0xE1, EXIF),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_it_counts_each_segment_of_a_jpeg_that_pillow_reads(pieces):
    data = jpeg(*pieces)
    try:
        walked = [marker for marker, _ in parts.segments(data)]
    except (UndecodableImageError, IndexError, struct.error):
        return
    with contextlib.suppress(OSError), Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        names = [f"APP{marker - 0xE0}" if marker < 0xFE else "COM" for marker in walked if marker >= 0xE0]
        assert [name for name, _ in image.applist] == names


CHUNKS = [
    ICCP,
    chunk(b"IDAT"),
    chunk(b"IDAT", b"\0" * 5),
    chunk(b"tEXt", b"a\0b"),
    chunk(b"abCd", ICCP),
    chunk(b"acTL", struct.pack(">II", 2, 0)),
    chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 24, 16, 0, 0, 1, 1, 0, 0)),
    chunk(b"fdAT", struct.pack(">I", 1)),
    chunk(b"fdAT", struct.pack(">I", 1) + b"\0" * 5),
    chunk(b"IHDR", b"\0" * 13),
    chunk(b"IEND"),
]


@given(st.lists(st.sampled_from(CHUNKS), max_size=8), st.lists(st.sampled_from(CHUNKS), max_size=8))
def test_it_counts_each_chunk_of_a_png_that_pillow_reads(before, behind):
    data = PNG[:33] + b"".join(before) + PNG[33:-12] + b"".join(behind) + PNG[-12:]
    found = {}

    def read(stream):
        name, position, length = PngImagePlugin.ChunkStream.read(stream)
        found[position] = name
        return name, position, length

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(PngImagePlugin.PngStream, "read", read, raising=False)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.load()
    walked = list(parts.chunks(data))
    assert found
    assert [found[position] for position in sorted(found)] == walked[: len(found)]
