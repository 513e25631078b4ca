"""The bundled model sees what it should: in the project's own drawings and in real photographs."""

import io
import runpy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from app_aws import registry
from app_aws.batcher import Batcher
from app_aws.engine import top

SAMPLES = Path(__file__).parents[2] / "samples"
DRAWN = ("airplane", "automobile", "bird", "frog", "ship", "truck")
PHOTOGRAPHS = {
    "cc0/chelsea.png": "cat",
    "ccby/cat_1080p.jpg": "cat",
    "ccby/cat_720p.jpg": "cat",
    "ccby/owl.jpg": "bird",
    "ccby/bird.bmp": "bird",
}


@pytest.fixture(scope="module")
def label():
    engine = registry.load(registry.BUNDLED / "cifar10")

    def of(data):
        return top(engine.infer([engine.prepare(data)])[0], engine.labels, 1)[0].label

    return of


@pytest.mark.parametrize("name", DRAWN)
def test_it_recognises_each_sample(label, name):
    assert label((SAMPLES / f"{name}.png").read_bytes()) == name


def test_it_recognises_the_samples_when_they_are_drawn_anew(label, tmp_path):
    runpy.run_path(str(SAMPLES / "draw.py"))["main"](tmp_path)
    assert {path.stem: label(path.read_bytes()) for path in tmp_path.iterdir()} == {name: name for name in DRAWN}


@pytest.mark.shared
@pytest.mark.parametrize(("path", "wanted"), PHOTOGRAPHS.items())
def test_it_recognises_real_photographs(label, shared, path, wanted):
    photograph = shared / "images" / path
    data = photograph.read_bytes()
    if photograph.suffix == ".bmp":
        out = io.BytesIO()
        Image.open(photograph).save(out, "PNG")
        data = out.getvalue()
    assert label(data) == wanted


def test_no_image_of_a_burst_is_stranded_between_two_model_threads():
    """A queue whose timed get loses its item to another thread must not wait for ever for the next one."""
    engine = registry.load(registry.BUNDLED / "cifar10")
    batcher = Batcher(engine.infer, 8, 2.0, threads=2)
    batcher.start()
    pictures = [(SAMPLES / f"{name}.png").read_bytes() for name in DRAWN]

    def recognise(data):
        return batcher.submit(lambda: engine.prepare(data)).result(timeout=20)

    with ThreadPoolExecutor(len(pictures)) as slots:
        for _ in range(150):
            assert len(list(slots.map(recognise, pictures))) == len(pictures)
    batcher.stop(5)
