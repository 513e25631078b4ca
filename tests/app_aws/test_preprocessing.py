"""What the engine makes of a picture is what the plain way makes of it, though it takes less work."""

import numpy as np
import pytest
import reference
from pictures import ORIENTATION, encoded, fitting, gradient
from PIL import Image

from app_aws import registry
from app_aws.decode import pixels, tensor
from app_aws.install import Description, add

LIMIT = 50_000_000
INPUTS = [
    pytest.param(fitting(), id="squash"),
    pytest.param(fitting(width=64, height=48, resize="crop", shorter_side=72), id="crop"),
    pytest.param(fitting(colour="BGR", layout="NHWC", mean=(104, 117, 123), std=(57.0, 58.0, 59.5)), id="bgr-nhwc"),
    pytest.param(fitting(mean=(127.5,) * 3, std=(127.5,) * 3, colour="BGR"), id="nchw"),
]


def noise(width, height, mode="RGB"):
    """The hardest picture: every pixel differs from its neighbours."""
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (height, width, len(mode)), np.uint8))


def made(data, wanted):
    return tensor(pixels(data, wanted, LIMIT), wanted)


def levels(data, wanted):
    """Largest difference to the plain way, in 1/255 of a channel."""
    spread = np.asarray(wanted.std).reshape((3, 1, 1) if wanted.layout == "NCHW" else 3)
    return np.abs((made(data, wanted) - reference.tensor(data, wanted)) * spread).max()


@pytest.mark.parametrize("wanted", INPUTS)
@pytest.mark.parametrize(
    "data",
    [
        encoded(noise(500, 375), "JPEG", quality=90),
        encoded(noise(375, 501), "PNG"),
        encoded(gradient(301, 417), "WEBP"),
        encoded(gradient(1, 70), "PNG"),
        encoded(gradient(200, 150).convert("L"), "JPEG"),
        encoded(gradient(200, 150).convert("CMYK"), "JPEG"),
        encoded(gradient(200, 150).quantize(64), "PNG"),
    ],
    ids=["jpeg", "png", "webp", "narrow", "grey", "cmyk", "palette"],
)
def test_a_picture_decoded_in_full_gives_exactly_the_plain_tensor(data, wanted):
    assert np.array_equal(made(data, wanted), reference.tensor(data, wanted))


@pytest.mark.parametrize("wanted", INPUTS)
@pytest.mark.parametrize("size", [(4000, 3000), (1921, 1081), (2047, 1025)])
def test_a_large_jpeg_decoded_small_is_within_a_few_levels_of_the_plain_tensor(size, wanted):
    assert levels(encoded(gradient(*size), "JPEG", quality=95), wanted) <= 2


def test_a_jpeg_whose_reduced_sides_are_rounded_up_is_not_shifted():
    """1025 rows are 129 after 1/8, of which the last is one row of the picture, not eight."""
    stripes = np.zeros((1025, 1025, 3), np.uint8)
    stripes[:, 513:] = 255
    data = encoded(Image.fromarray(stripes), "JPEG", quality=95)
    assert levels(data, fitting()) <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_within_rounding_of_the_plain_tensor(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    for wanted in (fitting(width=40, height=24), fitting(width=40, height=24, resize="crop", shorter_side=44)):
        assert levels(encoded(noise(330, 271), "JPEG", quality=90, exif=exif), wanted) <= 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_transparent_picture_is_within_rounding_of_the_plain_tensor(kind):
    data = encoded(noise(330, 271, "RGBA"), kind, lossless=True, exact=True)
    assert levels(data, fitting()) <= 2


def photographs(shared):
    """Every photograph as a client may send it: JPEG, PNG, and each at several sizes and turned."""
    for path in sorted((shared / "images").rglob("*")):
        if path.suffix not in {".jpg", ".png", ".bmp"}:
            continue
        whole = Image.open(path).convert("RGB")
        yield path.name, path.read_bytes() if path.suffix != ".bmp" else encoded(whole)
        yield f"{path.name} at quality 85", encoded(whole, "JPEG", quality=85)
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        turned = whole.transpose(Image.Transpose.ROTATE_90)
        yield f"{path.name} sideways", encoded(turned, "JPEG", quality=90, exif=exif)
        yield f"{path.name} tripled", encoded(whole.resize((whole.width * 3, whole.height * 3)), "JPEG", quality=90)


def imagenet(shared, models, name, **options):
    labels = shared / "models" / "imagenet1k_labels.txt"
    found = add(str(shared / "models" / f"{name}.onnx"), models, description=Description(labels=labels, **options))
    return registry.load(models / found.id)


@pytest.mark.shared
def test_the_best_label_of_every_photograph_is_that_of_the_plain_way(shared, models):
    engines = [
        registry.load(registry.BUNDLED / "cifar10"),
        imagenet(shared, models, "mobilenet_v2_1.0_224_fp32", mean=(127.5,), std=(127.5,)),
        imagenet(shared, models, "squeezenet1.1_fp32_dyn", mean=(104, 117, 123), colour="BGR"),
    ]
    seen, differing = 0, []
    for name, data in photographs(shared):
        for engine in engines:
            plain = engine.infer([reference.tensor(data, engine.manifest.input)])[0]
            ours = engine.infer([engine.prepare(data)])[0]
            seen += 1
            if plain.argmax() != ours.argmax():
                top = np.sort(plain)[-2:]
                differing.append(f"{engine.model.name} of {name}: best two {top}")
    assert seen > 150
    assert differing == []
