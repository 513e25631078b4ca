"""Pictures made for tests, and model inputs to fit them into."""

import io

import numpy as np
from PIL import Image

from app_aws.manifest import Input

ORIENTATION = 0x0112


def gradient(width: int = 400, height: int = 300) -> Image.Image:
    """A smooth picture without any symmetry: every turn and swap of channels shows."""
    rows, columns = np.mgrid[0:height, 0:width]
    channels = (columns * 255 // width, rows * 200 // height, (columns + rows) * 120 // (width + height))
    return Image.fromarray(np.dstack(channels).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def fitting(**changes: object) -> Input:
    usual = {
        "name": "image",
        "width": 32,
        "height": 32,
        "layout": "NCHW",
        "colour": "RGB",
        "resize": "squash",
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
    }
    return Input(**{**usual, **changes})
