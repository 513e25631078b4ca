"""The plain way from a client's bytes to a tensor, and to a label: everything in full size, one step after another."""

import io

import numpy as np
from PIL import Image, ImageOps


def tensor(data, wanted):
    """Decode in full, turn by EXIF, put on white, scale with BILINEAR and cut the centre, normalise in float32."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    values = np.asarray(_scaled(image.convert("RGB"), wanted)).astype(np.float32)
    ordered = values if wanted.colour == "RGB" else values[:, :, ::-1]
    normal = (ordered - np.asarray(wanted.mean, np.float32)) / np.asarray(wanted.std, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1) if wanted.layout == "NCHW" else normal)


def _scaled(image, wanted):
    """The shorter side to ``scaled_side``, then the centre, in one step: no rounding to whole pixels between."""
    box = (0.0, 0.0, *map(float, image.size))
    if wanted.resize == "crop":
        scale = min(image.size) / wanted.scaled_side
        left, top = (image.width - wanted.width * scale) / 2, (image.height - wanted.height * scale) / 2
        box = (left, top, image.width - left, image.height - top)
    return image.resize((wanted.width, wanted.height), Image.Resampling.BILINEAR, box=box)
