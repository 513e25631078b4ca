"""Many different pictures for system tests: crops, turns and tints of the samples, in the three formats."""

import io
import random
from pathlib import Path

from PIL import Image, ImageEnhance

SAMPLES = Path(__file__).parents[2] / "samples"
KINDS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}


def many(count, seed=1):
    """``count`` pictures that differ from each other: (file name, bytes)."""
    chance = random.Random(seed)
    sources = [Image.open(path).convert("RGB") for path in sorted(SAMPLES.glob("*.png"))]
    made = []
    for number in range(count):
        source = sources[number % len(sources)]
        side = chance.randint(300, 512)
        x, y = chance.randint(0, 512 - side), chance.randint(0, 512 - side)
        picture = source.crop((x, y, x + side, y + side)).resize((96 + number % 37, 96 + number % 41))
        picture = ImageEnhance.Color(picture).enhance(chance.uniform(0.3, 1.7))
        ending = list(KINDS)[number % 3]
        out = io.BytesIO()
        picture.save(out, KINDS[ending])
        made.append((f"picture_{number:04}.{ending}", out.getvalue()))
    assert len({data for _, data in made}) == count
    return made


def media_type(name):
    """For Content-Type, by the file name."""
    return f"image/{KINDS[name.rpartition('.')[2]].lower()}"
