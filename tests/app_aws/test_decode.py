"""Whatever bytes a client sends, it gets upright pixels on white or a sentence it can read."""

import contextlib
import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from many_parts import EXIF_BLOCK, REFUSED, TAKEN, bare, chunk, png
from pictures import ORIENTATION, encoded, fitting, gradient
from PIL import Image, ImageFile

from app_aws import decode
from app_aws.decode import pixels, tensor
from skylens import scans
from skylens.errors import SkylensError, TooLargeError, UndecodableImageError
from skylens.parts import SIDE

LIMIT = 1_000_000
INPUT = fitting()
UPRIGHT = encoded(gradient())
GREY = gradient().convert("L")


def fitted(data, wanted=INPUT):
    return pixels(data, wanted, LIMIT)


def far(one, other):
    """Largest difference of any channel of any pixel."""
    return np.abs(one.astype(int) - other.astype(int)).max()


@pytest.mark.parametrize(
    ("data", "like", "slack"),
    [
        pytest.param(encoded(gradient(), "JPEG", quality=95), UPRIGHT, 3, id="jpeg"),
        pytest.param(encoded(gradient().convert("CMYK"), "JPEG", quality=95), UPRIGHT, 3, id="cmyk-jpeg"),
        pytest.param(encoded(gradient(), "WEBP", lossless=True), UPRIGHT, 0, id="webp"),
        pytest.param(encoded(gradient().quantize(256)), UPRIGHT, 16, id="palette"),
        pytest.param(encoded(gradient().convert("RGBA")), UPRIGHT, 1, id="opaque-alpha"),
        pytest.param(encoded(gradient().convert("RGBA"), "WEBP", lossless=True), UPRIGHT, 1, id="webp-alpha"),
        pytest.param(encoded(GREY), encoded(GREY.convert("RGB")), 0, id="grey"),
        pytest.param(encoded(GREY, "JPEG", quality=95), encoded(GREY.convert("RGB")), 3, id="grey-jpeg"),
        pytest.param(encoded(GREY.convert("LA")), encoded(GREY.convert("RGB")), 1, id="grey-alpha"),
        pytest.param(encoded(GREY.convert("1")), encoded(GREY.convert("RGB")), 12, id="one-bit"),
        pytest.param(
            encoded(Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)),
            encoded(GREY.convert("RGB")),
            0,
            id="sixteen-bit-grey",
        ),
    ],
)
def test_every_mode_gives_the_same_picture(data, like, slack):
    found = fitted(data)
    assert found.shape == (32, 32, 3)
    assert found.dtype == np.uint8
    assert far(found, fitted(like)) <= slack


def png16(rgb):
    """A 16-bit RGB PNG, which Pillow reads and cannot write."""
    rows = b"".join(b"\0" + row.tobytes() for row in (rgb.astype(">u2") * 257))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", rgb.shape[1], rgb.shape[0], 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_sixteen_bit_colour_is_scaled_to_eight():
    assert far(fitted(png16(np.asarray(gradient()))), fitted(UPRIGHT)) <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_a_picture_taken_sideways_is_turned_upright(orientation, resize):
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    held = gradient() if undo is None else gradient().transpose(undo)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    wanted = fitting(width=40, height=24, resize=resize)
    upright = fitted(UPRIGHT, wanted)
    assert upright.shape == (24, 40, 3)
    assert far(fitted(encoded(held, "PNG", exif=exif), wanted), upright) <= 1
    assert far(fitted(encoded(held, "WEBP", lossless=True, exif=exif), wanted), upright) <= 1
    assert far(fitted(encoded(held, "JPEG", quality=95, exif=exif), wanted), upright) <= 4


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_leaves_the_picture_as_it_is():
    data = encoded(gradient(), "JPEG", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\xff nonsense")
    assert far(fitted(data), fitted(UPRIGHT)) <= 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_transparent_is_white(kind):
    clear = Image.new("RGBA", (50, 50), (200, 0, 0, 0))
    assert (fitted(encoded(clear, kind, lossless=True, exact=True)) == 255).all()


def test_half_transparent_black_is_grey():
    assert abs(int(fitted(encoded(Image.new("RGBA", (50, 50), (0, 0, 0, 128))))[9, 9, 0]) - 127) <= 1


@pytest.mark.parametrize(
    ("image", "clear"),
    [
        pytest.param(Image.new("P", (9, 9), 0), 0, id="palette"),
        pytest.param(Image.new("L", (9, 9), 7), 7, id="grey"),
        pytest.param(Image.new("RGB", (9, 9), (1, 2, 3)), (1, 2, 3), id="colour"),
        pytest.param(Image.fromarray(np.full((9, 9), 700, np.uint16)), 700, id="sixteen-bit-grey"),
    ],
)
def test_a_colour_declared_transparent_is_white(image, clear):
    assert (fitted(encoded(image, "PNG", transparency=clear)) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_only_the_first_frame_of_an_animation_counts(kind):
    red, blue = (Image.new("RGB", (20, 20), colour) for colour in ("red", "blue"))
    data = encoded(red, kind, save_all=True, append_images=[blue], lossless=True)
    assert (fitted(data) == (255, 0, 0)).all()


def test_one_pixel_fills_the_input():
    assert (fitted(encoded(Image.new("RGB", (1, 1), (9, 8, 7)))) == (9, 8, 7)).all()


@pytest.mark.parametrize("size", [(3000, 1), (1, 3000), (2, 500)])
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_extreme_shapes_are_taken(size, resize):
    data = encoded(Image.new("RGB", size, (9, 8, 7)))
    assert (fitted(data, fitting(resize=resize)) == (9, 8, 7)).all()


def test_a_large_jpeg_decoded_small_looks_like_the_whole():
    large = gradient(1600, 600)
    assert far(fitted(encoded(large, "JPEG", quality=95)), fitted(encoded(large))) <= 4


def test_crop_keeps_the_centre_and_squash_keeps_everything():
    image = Image.new("RGB", (400, 100), "black")
    image.paste("white", (150, 0, 250, 100))
    cropped = fitted(encoded(image), fitting(resize="crop", shorter_side=32))
    assert (cropped[:, 2:-2] == 255).all()
    assert (fitted(encoded(image))[:, :10] == 0).all()


def test_crop_is_scale_then_cut():
    wanted = fitting(width=28, height=28, resize="crop")
    scaled = np.asarray(gradient(320, 64).resize((160, 32), Image.Resampling.BILINEAR))
    assert wanted.scaled_side == 32
    assert far(fitted(encoded(gradient(320, 64)), wanted), scaled[2:30, 66:94]) <= 1


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7])
def test_a_truncated_picture_is_undecodable(kind, kept):
    data = encoded(gradient(), kind)
    with pytest.raises(UndecodableImageError, match="damaged"):
        fitted(data[: int(len(data) * kept)])


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "ICO"])
def test_other_formats_are_not_even_tried(kind):
    with pytest.raises(UndecodableImageError, match="PNG, JPEG or WebP"):
        fitted(encoded(gradient(64, 64), kind))


@pytest.mark.parametrize("data", [b"", b"\0", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_what_is_no_picture_is_undecodable(data):
    with pytest.raises(UndecodableImageError):
        fitted(data)


def test_a_bomb_is_refused_by_its_header():
    with pytest.raises(TooLargeError, match="50000 x 50000"):
        fitted(header_of(50_000, 50_000))


@pytest.mark.parametrize(("size", "allowed"), [((16, 16), scans.MOST), ((2500, 2001), scans.FEW)])
def test_a_jpeg_of_too_many_scans_is_refused_before_one_is_read(monkeypatch, size, allowed):
    whole = encoded(Image.new("RGB", size, "teal"), "JPEG", progressive=True)
    empty = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00"
    most = whole[:-2] + empty * (allowed - whole.count(b"\xff\xda")) + whole[-2:]
    assert far(pixels(most, INPUT, 10**7), pixels(whole, INPUT, 10**7)) <= 1
    monkeypatch.setattr(ImageFile.ImageFile, "load", pytest.fail)
    with pytest.raises(UndecodableImageError, match=f"more than {allowed} scans"):
        pixels(most[:-2] + empty + most[-2:], INPUT, 10**7)


@pytest.mark.parametrize(("data", "said"), [pytest.param(*rest, id=name) for name, *rest in REFUSED])
def test_an_image_of_too_many_costly_parts_is_refused_before_it_is_opened(data, said, monkeypatch):
    monkeypatch.setattr(Image, "open", pytest.fail)
    with pytest.raises(UndecodableImageError, match=said):
        fitted(data)


@pytest.mark.parametrize(("name", "data"), [pytest.param(*one, id=one[0]) for one in TAKEN])
def test_what_cameras_and_programs_add_changes_no_picture(name, data):
    assert far(fitted(data), fitted(bare(name))) == 0


def large_exif(size):
    """A right block that says upside down, with ``size`` bytes behind its directory."""
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHLHHL", 1, ORIENTATION, 3, 1, 3, 0, 0) + bytes(size)


@pytest.mark.parametrize("place", [33, -12])
def test_an_exif_block_larger_than_any_cameras_is_not_read(place, monkeypatch):
    upright, turned = fitted(png()), fitted(png(chunk(b"eXIf", large_exif(2**20 - 32)), place=place))
    assert far(turned, upright[::-1, ::-1]) == 0
    monkeypatch.setattr(Image.Exif, "load", lambda *_: pytest.fail("read"))
    assert far(fitted(png(chunk(b"eXIf", large_exif(2**20)), place=place)), upright) == 0
    profile = b"Raw profile type exif\0\n\n\n" + large_exif(2**20).hex().encode()
    assert far(fitted(png(chunk(b"tEXt", profile), place=place)), upright) == 0


def test_what_pillow_thinks_of_an_image_fills_no_log(tmp_path, monkeypatch):
    wrong = b"".join(struct.pack("<HHLL", tag, 7, 2**30, 8) for tag in range(1, 1000))
    (tmp_path / "one.png").write_bytes(png(chunk(b"eXIf", EXIF_BLOCK[:8] + struct.pack("<H", 999) + wrong + bytes(4))))
    code = (
        "import sys; from pictures import fitting; from app_aws.decode import pixels;"
        "print(pixels(open(sys.argv[1], 'rb').read(), fitting(), 1000).shape)"
    )
    command = [sys.executable, "-c", code, tmp_path / "one.png"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("(32, 32, 3)\n", "")


def test_the_pixel_limit_is_exact():
    assert pixels(encoded(Image.new("L", (100, 10))), INPUT, 1000).shape == (32, 32, 3)
    with pytest.raises(TooLargeError, match="at most 999"):
        pixels(encoded(Image.new("L", (100, 10))), INPUT, 999)


def test_an_arithmetic_jpeg_is_refused_before_pillow_sees_it(monkeypatch):
    data = encoded(Image.new("RGB", (64, 48)), "JPEG")
    at = data.index(b"\xff\xc0") + 1
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Pillow was asked"))
    with pytest.raises(UndecodableImageError, match="unusual way"):
        pixels(data[:at] + b"\xc9" + data[at + 1 :], INPUT, 10**6)


def noise(side):
    return np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)


@pytest.mark.parametrize(("lossless", "side", "most"), [(True, 1000, 1), (True, 100, 2), (False, 1000, 2)])
def test_of_pictures_with_large_tables_one_is_decoded_at_a_time(monkeypatch, lossless, side, most):
    data = encoded(Image.fromarray(noise(side)), "WEBP", lossless=lossless, quality=0, method=0)
    fit, both, at_once, lock = decode._fit, threading.Barrier(2), [0, 0], threading.Lock()

    def fitted(*arguments):
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(2)
        made = fit(*arguments)
        with lock:
            at_once[0] -= 1
        return made

    monkeypatch.setattr(decode, "_fit", fitted)
    monkeypatch.setattr(decode, "_FEW", threading.BoundedSemaphore(1))  # as on two processors
    with ThreadPoolExecutor(2) as threads:
        assert len(list(threads.map(lambda _: pixels(data, INPUT, 10**6), range(2)))) == 2
    assert at_once[1] == most


def test_what_is_behind_a_picture_makes_its_tables_no_larger():
    data = encoded(Image.new("RGB", (1000, 1000)), "WEBP", lossless=True)
    with Image.open(io.BytesIO(data)) as image:
        assert decode._tables(data + bytes(2**21), image) == decode._tables(data, image) < decode._LARGE


@pytest.mark.parametrize("size", [(SIDE + 1, 1), (1, SIDE + 1)])
def test_a_side_of_endless_pixels_is_refused(size):
    assert pixels(encoded(Image.new("L", (SIDE, 1))), INPUT, 10**6).shape == (32, 32, 3)
    with pytest.raises(TooLargeError, match="at most 65535 a side"):
        pixels(encoded(Image.new("L", size)), INPUT, 10**6)


def header_of(width, height):
    """A PNG that claims a size and holds ten bytes of it."""
    data = bytearray(encoded(Image.new("L", (1, 1))))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_our_errors(data):
    with pytest.raises(SkylensError):
        fitted(data)


SEEDS = [encoded(gradient(40, 30), kind) for kind in ("PNG", "JPEG", "WEBP")]


@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=4)), max_size=8))
def test_damaged_pictures_raise_nothing_but_our_errors(seed, edits):
    data = bytearray(seed)
    for place, patch in edits:
        start = place % len(data)
        data[start : start + len(patch)] = patch
    with contextlib.suppress(SkylensError):
        assert fitted(bytes(data)).shape == (32, 32, 3)


def test_the_tensor_is_as_the_manifest_says():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    plain = tensor(picture, fitting(width=2, height=2))
    assert (plain.dtype, plain.shape, plain.flags.c_contiguous) == (np.float32, (3, 2, 2), True)
    assert plain[2, 1, 0] == picture[1, 0, 2]
    swapped = tensor(picture, fitting(width=2, height=2, colour="BGR", layout="NHWC", mean=(10, 20, 30), std=(1, 2, 4)))
    red, green, blue = picture[1, 0].astype(float)
    assert swapped.shape == (2, 2, 3)
    assert swapped[1, 0].tolist() == [blue - 10, (green - 20) / 2, (red - 30) / 4]
