"""A model's accuracy is counted from its answers, and files that cannot be read are named, not counted."""

import json

import numpy as np
import pytest
from parts import FakeEngine
from variations import own_answers

from app_aws import install, labelled, registry, verify
from app_aws.labelled import Picture
from app_aws.verify import Confusion
from skylens.cli import main
from skylens.errors import ModelError

CAT, DOG = 0, 1


@pytest.fixture
def pictures(tmp_path):
    def make(*kinds):
        """``(bytes, true label)`` each."""
        made = []
        for number, (data, label) in enumerate(kinds):
            path = tmp_path / f"{number}.png"
            path.write_bytes(data)
            made.append(Picture(path, label))
        return made

    return make


def test_right_and_wrong_answers_are_counted(pictures):
    engine = FakeEngine()
    asked = pictures((b"cat", CAT), (b"cat", DOG), (b"cat", DOG), (b"dog", DOG), (b"dog", CAT))
    ticks = iter([10.0, 12.0])
    found = verify.report(engine, verify.ask(engine, asked, cpu=lambda: next(ticks)))
    assert (found.model, found.images, found.top1, found.top5) == ("fake@1", 5, 0.4, 1.0)
    assert found.images_per_cpu_second == 2.5
    assert found.confusions[0] == Confusion(truth="dog", answer="cat", count=2)
    assert found.confusions[1:] == (Confusion(truth="cat", answer="dog", count=1),)


def test_the_first_five_are_the_five_best():
    class Six(FakeEngine):
        labels = tuple("abcdef")

    answers = verify.Answers(np.array([5, 0]), np.array([[0, 1, 2, 3, 4], [1, 2, 3, 4, 0]]), {}, 1.0)
    found = verify.report(Six(), answers)
    assert (found.top1, found.top5) == (0.0, 0.5)


def test_a_file_that_cannot_be_read_is_named_with_its_reason(pictures, tmp_path):
    asked = [*pictures((b"cat", CAT), (b"bad", CAT)), Picture(tmp_path / "gone.png", CAT)]
    found = verify.ask(FakeEngine(), asked)
    assert len(found.truth) == 1
    assert found.unreadable == {
        str(tmp_path / "1.png"): "The image is damaged",
        str(tmp_path / "gone.png"): "No such file or directory",
    }


def test_each_picture_is_one_step(pictures):
    steps = []
    verify.ask(FakeEngine(), pictures((b"cat", CAT), (b"bad", CAT)), lambda: steps.append(1))
    assert len(steps) == 2


def test_a_picture_without_a_label_is_refused(pictures):
    with pytest.raises(ModelError, match=r"0\.png has no label: put it into a folder"):
        verify.ask(FakeEngine(), pictures((b"cat", None)))


def test_nothing_readable_is_an_error(pictures):
    with pytest.raises(
        ModelError, match=r"none of the 1 images can be read; the first, .*0\.png: The image is damaged"
    ):
        verify.ask(FakeEngine(), pictures((b"bad", CAT)))


def test_the_command_prints_what_it_counted(tmp_path, capsys):
    images = own_answers(registry.load(registry.BUNDLED / "cifar10"), tmp_path / "images", 12)
    (images / "cat").mkdir(exist_ok=True)
    (images / "cat" / "broken.png").write_bytes(b"no picture")
    assert main(["models", "verify", "cifar10", str(images), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["top1"], len(found["unreadable"])) == (12, 1.0, 1)
    assert main(["models", "verify", "cifar10", str(images)]) == 0
    said = capsys.readouterr().out
    assert "right for 100.00% of 12 images" in said
    assert "broken.png: The image is damaged" in said
    assert main(["models", "verify", "cifar10", str(images), "--limit", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] <= 5


@pytest.mark.shared
def test_an_imagenet_model_is_right_for_ordinary_photographs(shared, tmp_path):
    models, labels = shared / "models", shared / "models" / "imagenet1k_labels.txt"
    usual = install.Description(labels=labels, name="net", mean=(127.5,), std=(127.5,))
    install.add(str(models / "mobilenet_v2_1.0_224_fp32.onnx"), tmp_path / "models", description=usual)
    engine = registry.load(tmp_path / "models" / "net@1")
    photographs = {"coffee.png": "espresso", "chelsea.png": "tiger_cat", "camera.png": "tripod"}
    lines = [f"{shared / 'images' / 'cc0' / name}\t{label}" for name, label in photographs.items()]
    (tmp_path / "list.tsv").write_text("\n".join(lines))
    found = verify.report(engine, verify.ask(engine, labelled.read(tmp_path / "list.tsv", engine.labels)))
    assert (found.images, found.top1, found.confusions) == (3, 1.0, ())
