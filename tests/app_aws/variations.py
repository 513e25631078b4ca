"""Many pictures out of the project's few drawings, laid out under the labels that a model itself gives them."""

from pathlib import Path

from PIL import Image, ImageEnhance

from app_aws.engine import top

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.png"))


def own_answers(engine, place, count):
    """A folder a label; by construction the engine is right for every picture."""
    for number in range(count):
        with Image.open(SAMPLES[number % len(SAMPLES)]) as drawing:
            turned = drawing.convert("RGB").rotate(number % 7 - 3, fillcolor="white")
        picture = ImageEnhance.Brightness(turned).enhance(0.7 + 0.05 * (number % 11))
        path = place / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
        scores = engine.infer([engine.prepare(path.read_bytes())])[0]
        folder = place / top(scores, engine.labels, 1)[0].label
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    return place
