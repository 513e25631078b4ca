"""The engine takes one picture at a time or many, and refuses a model that its manifest does not describe."""

import os
import subprocess
import sys

import numpy as np
import pytest
from networks import FakeSession, Tensor, bundled_manifest
from pictures import encoded, gradient

from app_aws import registry
from app_aws.engine import OnnxEngine, open_session, top
from app_aws.registry import BUNDLED
from skylens.errors import ModelError, TooLargeError, UndecodableImageError

CAT = "cc0/chelsea.png"
LARGE = encoded(gradient(101, 100))
"""A little more than the 10,000 pixels that ``engine`` takes."""


def engine(session, labels=("bright", "dark"), **changes):
    return OnnxEngine(bundled_manifest(**changes), labels, session, max_pixels=10_000)


def grey(value):
    return np.full((3, 32, 32), value, np.float32)


def test_a_batch_gives_each_image_its_own_scores():
    session = FakeSession()
    scores = engine(session).infer([grey(0.25), grey(0.5), grey(1)])
    assert scores[:, 0].tolist() == [0.25, 0.5, 1]
    assert session.batches[-1] == 3


def test_a_model_of_batch_one_is_asked_image_by_image():
    session = FakeSession(inputs=[Tensor("image", [1, 3, 32, 32])])
    scores = engine(session).infer([grey(0.25), grey(0.5)])
    assert scores[:, 0].tolist() == [0.25, 0.5]
    assert session.batches[-2:] == [1, 1]
    assert set(session.batches) == {1}


def test_softmax_makes_probabilities_of_logits():
    scores = engine(FakeSession(), activation="softmax").infer([grey(100), grey(0)])
    assert scores.sum(axis=1) == pytest.approx([1, 1])
    assert scores[1].tolist() == pytest.approx([1 / (1 + np.e), np.e / (1 + np.e)])


@pytest.mark.parametrize(
    ("session", "labels", "said"),
    [
        (FakeSession(inputs=[Tensor("data", ["n", 3, 32, 32])]), "ab", "input.name = 'image': the model has 'data'"),
        (FakeSession(outputs=[Tensor("p", ["n", 2])]), "ab", "output.name = 'probabilities': the model has 'p'"),
        (FakeSession(inputs=[Tensor("image", ["n", 3, 64, 32])]), "ab", r"shape \[3, 64, 32\], but .*\[3, 32, 32\]"),
        (FakeSession(inputs=[Tensor("image", ["n", 3072])]), "ab", r"of shape \[3072\]"),
        (FakeSession(inputs=[Tensor("image", [])]), "ab", r"of shape \[\]"),
        (FakeSession(inputs=[Tensor("image", [4, 3, 32, 32])]), "ab", "takes exactly 4 images"),
        (FakeSession(inputs=[Tensor("image", ["n", 3, 32, 32], "tensor(uint8)")]), "ab", r"only tensor\(float\)"),
        (FakeSession(inputs=[Tensor("image", ["n", 3, 32, 32])] * 2), "ab", "has 2 inputs"),
        (FakeSession(), "abc", "3 labels, but the model gives 2 scores"),
    ],
)
def test_a_session_unlike_its_manifest_is_refused(session, labels, said):
    with pytest.raises(ModelError, match=said):
        engine(session, tuple(labels))


def test_scores_that_are_no_probabilities_name_the_cure():
    class Logits(FakeSession):
        def run(self, names, feeds):
            return [np.full((len(feeds["image"]), 2), -7.0)]

    with pytest.raises(ModelError, match="softmax"):
        engine(Logits())


def test_a_model_that_makes_one_answer_of_two_images_is_refused():
    class Folding(FakeSession):
        def run(self, names, feeds):
            return [super().run(names, feeds)[0].mean(axis=0, keepdims=True)]

    with pytest.raises(ModelError, match="2 scores for one image, but 2 for two"):
        engine(Folding())


def test_a_model_that_fails_at_once_is_refused():
    class Broken(FakeSession):
        def run(self, names, feeds):
            raise RuntimeError("no such kernel")

    with pytest.raises(ModelError, match="black image: no such kernel"):
        engine(Broken())


def test_bytes_that_are_no_network_are_refused():
    with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded"):
        open_session(b"not onnx")


def test_loading_a_model_reports_nothing_to_the_makers_of_the_runtime(tmp_path):
    """The runtime keeps its telemetry's state in ``.ses`` among the temporary files, even where the network is off."""
    script = "from app_aws import registry; registry.load(registry.BUNDLED / 'cifar10')"
    clean = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", script], env=clean | {"TMPDIR": str(tmp_path)}, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_client_errors_come_from_prepare():
    loaded = engine(FakeSession())
    with pytest.raises(UndecodableImageError):
        loaded.prepare(b"junk")
    with pytest.raises(TooLargeError):
        loaded.prepare(LARGE)


def test_top_is_ordered_and_never_longer_than_the_labels():
    scores = np.array([0.1, 0.6, 0.3], np.float32)
    assert [(one.label, one.score) for one in top(scores, "abc", 2)] == [("b", 0.6), ("c", 0.3)]
    assert len(top(scores, "abc", 99)) == 3
    assert len(top(scores, "abc", 0)) == 1
    with pytest.raises(ValueError, match="not numbers"):
        top(np.array([np.nan, 1], np.float32), "ab", 1)


def test_the_bundled_model_gives_a_distribution_over_its_labels():
    loaded = registry.load(BUNDLED / "cifar10")
    scores = loaded.infer([loaded.prepare(LARGE), loaded.prepare(LARGE)])
    assert scores.shape == (2, 10)
    assert scores.sum(axis=1) == pytest.approx([1, 1], abs=1e-3)
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


@pytest.mark.shared
def test_the_bundled_model_knows_a_cat_from_a_photograph(shared):
    loaded = registry.load(BUNDLED / "cifar10")
    scores = loaded.infer([loaded.prepare((shared / "images" / CAT).read_bytes())])
    assert top(scores[0], loaded.labels, 1)[0].label == "cat"
