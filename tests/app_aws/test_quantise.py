"""An 8-bit model is installed only when it was measured and is good enough, and no other one is put to work."""

import numpy as np
import pytest
from networks import model_folder
from PIL import Image
from variations import own_answers

from app_aws import manifest, quantise, registry
from app_aws.labelled import Picture
from app_aws.verify import Answers
from skylens.cli import main
from skylens.errors import ModelError


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return own_answers(registry.load(registry.BUNDLED / "cifar10"), tmp_path_factory.mktemp("images"), 140)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    monkeypatch.setattr(quantise, "speed_up", lambda *_: (2.0, 1.0))  # what it measures depends on the machine
    monkeypatch.setenv("SKYLENS_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def answers(*right):
    return Answers(np.ones(len(right), int), np.array([[int(one)] for one in right]), {}, 1.0)


def test_what_is_lost_and_won_is_counted_on_the_same_images():
    before, after = answers(1, 1, 1, 0, 0, 1, 1, 1, 1, 1), answers(0, 0, 1, 1, 0, 1, 1, 1, 1, 1)
    lost, margin = quantise.loss(before, after)
    assert lost == pytest.approx(10.0)
    assert margin == pytest.approx(1.96 * np.sqrt((3 - 1 / 10) / 100) * 100)


def test_calibration_and_check_share_no_image_and_have_every_label():
    pictures = [Picture(f"{label}/{number}", label) for label in range(5) for number in range(8)]
    first, rest = quantise.split(pictures)
    assert sorted(first + rest) == pictures
    assert {one.label for one in first} == {one.label for one in rest} == set(range(5))


def test_a_model_is_quantised_checked_and_installed(installed, images, capsys):
    assert main(["models", "quantize", "cifar10", str(images), "--accept-loss", "20"]) == 0
    said = capsys.readouterr().out
    assert "points lost" in said
    assert "times as fast" in said
    made = registry.load(installed / "cifar10@1-int8").manifest
    assert (made.quantised.source, made.quantised.images, made.quantised.before) == ("cifar10@1", 105, 1.0)
    assert made.quantised.after > 0.8
    network = (installed / "cifar10@1-int8" / "model.onnx").read_bytes()
    assert registry.is_quantised(network)
    assert len(network) < 0.6 * (registry.BUNDLED / "cifar10" / "model.onnx").stat().st_size
    assert main(["models", "quantize", "cifar10@1", str(images)]) == 2
    assert "cifar10@1-int8 is installed already" in capsys.readouterr().err
    assert main(["models", "quantize", "cifar10@1-int8", str(images)]) == 2
    assert "quantised model already, made from cifar10@1" in capsys.readouterr().err


def test_a_model_that_loses_too_much_is_not_installed(installed, images, tmp_path, capsys):
    """Ranges seen on black pictures alone fit no other."""
    (tmp_path / "black").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "black" / "1.png")
    assert main(["models", "quantize", "cifar10", str(tmp_path / "black"), "--checked-on", str(images)]) == 2
    said = capsys.readouterr()
    assert "100.00% before" in said.out
    assert "no 8-bit form of cifar10@1 is faster and loses less than 1 points; nothing was installed" in said.err
    assert not installed.exists()


def test_a_model_that_is_not_faster_is_not_installed(installed, images, monkeypatch, capsys):
    monkeypatch.setattr(quantise, "speed_up", lambda *_: (1.0, 1.0))
    assert main(["models", "quantize", "cifar10", str(images), "--accept-loss", "50"]) == 2
    assert "nothing was installed" in capsys.readouterr().err
    assert not installed.exists()


def test_the_speed_is_the_median_of_runs_that_take_turns():
    class Engine:
        def __init__(self, cost):
            self.cost = cost

        def infer(self, batch):
            spent.append(self.cost)

    spent = []
    assert quantise.speed_up(Engine(2.0), Engine(1.0), None, cpu=lambda: sum(spent)) == (2000.0, 1000.0)
    assert spent[:6] == [2.0] * 3 + [1.0] * 3


def test_a_few_images_are_no_check(installed, images, tmp_path, capsys):
    few = own_answers(registry.load(registry.BUNDLED / "cifar10"), tmp_path / "few", 4)
    assert main(["models", "quantize", "cifar10", str(images), "--checked-on", str(few)]) == 2
    assert "4 images are too few to check on; at least 100" in capsys.readouterr().err


def test_without_the_package_onnx_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime.quantization", None)
    with pytest.raises(ModelError, match=r"pip install 'skylens\[quantize\]'"):
        quantise.quantise(b"", "image", [], "full")


def test_mixed_leaves_the_first_convolution_as_it_is(images):
    onnx = pytest.importorskip("onnx")
    engine = registry.load(registry.BUNDLED / "cifar10")
    network = (registry.BUNDLED / "cifar10" / "model.onnx").read_bytes()
    tensors = list(quantise.prepared(engine, [Picture(path, None) for path in sorted(images.rglob("*.png"))[:8]]))
    counts = {}
    for method in quantise.METHODS:
        nodes = onnx.load_from_string(quantise.quantise(network, "image", tensors, method)).graph.node
        counts[method] = sum(node.op_type == "DequantizeLinear" for node in nodes)
    assert 0 < counts["mixed"] < counts["full"]


def test_what_is_no_network_is_named():
    with pytest.raises(ModelError, match="cannot be quantised"):
        quantise.quantise(b"no network", "image", [], "full")


QUANTISED = {
    "from": "cifar10@1",
    "method": "static",
    "images": 1000,
    "before": 0.9,
    "after": 0.895,
    "accepted_loss": 1.0,
}


def test_an_8_bit_network_of_which_nobody_says_that_it_was_checked_is_not_put_to_work(installed, images, tmp_path):
    main(["models", "quantize", "cifar10", str(images), "--accept-loss", "20"])
    folder = model_folder(tmp_path / "unchecked")
    small = installed / "cifar10@1-int8"
    text = (small / "model.toml").read_text("utf-8")
    (folder / "model.onnx").write_bytes((small / "model.onnx").read_bytes())
    (folder / "model.toml").write_text(text[: text.index("[quantised]")], "utf-8")
    with pytest.raises(ModelError, match=r"no table \[quantised\] in model.toml says that it was checked"):
        registry.load(folder)


def test_a_manifest_that_admits_too_great_a_loss_is_refused():
    raw = manifest.tomllib.loads((registry.BUNDLED / "cifar10" / "model.toml").read_text("utf-8"))
    good = manifest.build({**raw, "quantised": QUANTISED})
    assert manifest.parse(manifest.to_toml(good)) == good
    with pytest.raises(ModelError, match=r"loses 2.00 points of before = 0.9; accepted_loss = 1"):
        manifest.build({**raw, "quantised": {**QUANTISED, "after": 0.88}})


@pytest.mark.parametrize("words", [["--accept-loss", "0"], ["--accept-loss", "x"], ["--method", "magic"]])
def test_a_wrong_word_is_refused(installed, images, words):
    with pytest.raises(SystemExit) as end:
        main(["models", "quantize", "cifar10", str(images), *words])
    assert end.value.code == 2
