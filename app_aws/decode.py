"""From a client's bytes to the pixels, and then the tensor, that a model takes.

Only SkylensError (and MemoryError) leaves this module: whatever a damaged picture does inside Pillow, its client gets
a plain sentence.
"""

import io
import threading
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app_aws.cpu import cores
from app_aws.manifest import Input
from skylens import parts, scans
from skylens.errors import SkylensError, TooLargeError, UndecodableImageError

FORMATS = ("PNG", "JPEG", "WEBP")
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""
_EXIF = 2**20
"""Bytes of the largest EXIF block that is read, as many as a JPEG may hold: one value of 16 MiB takes six seconds."""
_GROUPS = 2**16
_LARGE, _FEW = 2**29, threading.BoundedSemaphore(max(1, cores() // 2))
"""Bytes of tables from which on only so few such pictures are decoded at once: more would fill the memory."""
_ONES = (1.0, 1.0, 1.0)
_SIDEWAYS = 5
"""Orientations from here on swap width and height."""
_GAP, _LEAST = 4, 256
"""A JPEG is decoded small only while that leaves this many times the pixels a side that the model looks at, and at
least so many: nearer to the final size the best label may change, and below that there is little time to save."""

Image.MAX_IMAGE_PIXELS = None  # Pillow's limit warns through a global; ``max_pixels`` is ours and is an error
warnings.filterwarnings("ignore", module=r"PIL\.")  # each of 65,000 wrong tags in one EXIF block has a warning


def pixels(data: bytes, wanted: Input, max_pixels: int) -> NDArray[np.uint8]:
    """The picture, upright, on white, as RGB: ``height`` x ``width`` x 3, 0-255.

    Raises UndecodableImageError, also for what costs Pillow too much: endless parts, or a JPEG's endless scans; and
    TooLargeError above ``max_pixels``, or ``parts.SIDE`` pixels a side.
    """
    try:
        parts.check(data)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:  # which reads no scan
            _check_size(image, max_pixels)
            if data.startswith(parts.JPEG):
                scans.check(data, image.width * image.height)
            with _FEW if _tables(data, image) > _LARGE else nullcontext():
                return np.asarray(_fit(image, wanted))
    except (SkylensError, MemoryError):
        raise
    except Exception as error:  # Pillow raises a dozen unrelated types on damaged data
        raise UndecodableImageError("The image is damaged, or is not a PNG, JPEG or WebP picture") from error


def tensor(picture: NDArray[np.uint8], wanted: Input) -> NDArray[np.float32]:
    """The pixels as float32 in the model's channel order, normalisation and layout (``wanted.shape``)."""
    ordered = picture if wanted.colour == "RGB" else picture[:, :, ::-1]
    planes = wanted.layout == "NCHW"
    laid_out = np.ascontiguousarray(ordered.transpose(2, 0, 1) if planes else ordered)  # while a pixel is three bytes
    values = laid_out.astype(np.float32)
    if any(wanted.mean):
        values -= _each(wanted.mean, planes=planes)
    if wanted.std != _ONES:
        values /= _each(wanted.std, planes=planes)
    return values


def _each(channels: tuple[float, float, float], *, planes: bool) -> NDArray[np.float32]:
    """One number a channel, in a shape that fits planes of channels, or pixels of them."""
    return np.asarray(channels, np.float32).reshape((3, 1, 1) if planes else 3)


def _tables(data: bytes, image: Image.Image) -> int:
    """Bytes at most that libwebp needs for the Huffman tables of a lossless picture; 0 of any other.

    There may be a group of tables for each 4 x 4 pixels, up to 65,536, each of at least four bytes in the file. A group
    takes some 6 KB, and 80 bytes more for each of its bytes, as measured with libwebp 1.6.
    """
    size = min(len(data), int.from_bytes(data[4:8], "little") + 8)  # what is behind the RIFF is never read
    if image.format != "WEBP" or (data.find(b"VP8L", 0, size) < 0 and data.find(b"ALPH", 0, size) < 0):
        return 0
    groups = min(_GROUPS, -(-image.width // 4) * -(-image.height // 4), size // 4)
    return groups * 6 * 1024 + 80 * size


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if max(width, height) > parts.SIDE:
        raise TooLargeError(f"The image has {width} x {height} pixels; at most {parts.SIDE} a side are taken")
    if width * height > max_pixels:
        raise TooLargeError(f"The image has {width} x {height} pixels; at most {max_pixels} are taken")


def _fit(image: Image.Image, wanted: Input) -> Image.Image:
    orientation = _orientation(image)
    size = (wanted.width, wanted.height)
    if orientation >= _SIDEWAYS:
        size = size[::-1]
    box, scale = _box(image.size, wanted, size), _draft(image, wanted, size)
    image.load()
    left, top, right, bottom = (edge / scale for edge in box)
    seen = left, top, min(right, image.width), min(bottom, image.height)
    resized = _eight_bit(image).resize(size, Image.Resampling.BILINEAR, box=seen)
    flat = _on_white(resized)
    return flat.transpose(_TURNS[orientation]) if orientation in _TURNS else flat


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1-8; 1 (upright) when there is none.

    So it is when its block is damaged, or larger than any camera's: the picture may be whole.
    """
    if image.format == "PNG":
        image.load()  # the block may stand behind the pixels
    block = image.info.get("exif") or image.info.get("Raw profile type exif") or b""
    if len(block) > _EXIF:
        return 1
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - the EXIF parser raises a dozen unrelated types on damaged data
        return 1
    return found if found in _TURNS else 1


def _draft(image: Image.Image, wanted: Input, size: tuple[int, int]) -> float:
    """Let a JPEG be decoded at 1/2, 1/4 or 1/8 of its size where enough is left; how many times smaller it gets.

    Sides are rounded up to whole pixels, so the ratio of the sizes is not exactly that.
    """
    width = image.width
    least = size if wanted.resize == "squash" else (wanted.scaled_side, wanted.scaled_side)
    drafted = image.draft(None, (max(_GAP * least[0], _LEAST), max(_GAP * least[1], _LEAST)))
    return width / drafted[1][2] if drafted else 1.0


def _box(full: tuple[int, int], wanted: Input, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The part of the picture that the model sees, in its pixels: left, top, right, bottom."""
    if wanted.resize == "squash":
        return 0, 0, full[0], full[1]
    scale = min(full) / wanted.scaled_side
    left, top = (full[0] - size[0] * scale) / 2, (full[1] - size[1] * scale) / 2
    return max(left, 0), max(top, 0), min(full[0] - left, full[0]), min(full[1] - top, full[1])


def _eight_bit(image: Image.Image) -> Image.Image:
    """The picture as RGB or RGBA with 8 bits a channel."""
    if image.mode.startswith(("I", "F")):
        return _from_16_bit(image)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)  # a copy of a large one can cost as much as decoding it


def _from_16_bit(image: Image.Image) -> Image.Image:
    """16-bit grey; one grey value may stand for transparent."""
    grey = np.asarray(image).astype(np.uint16)
    shown = Image.fromarray((grey >> 8).astype(np.uint8))
    clear: Any = image.info.get("transparency")
    if isinstance(clear, int):
        shown.putalpha(Image.fromarray((grey != clear).astype(np.uint8) * np.uint8(255)))
    return shown.convert("RGBA" if isinstance(clear, int) else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return white.convert("RGB")
