"""Models are found by name, version or path, and never loaded when anything about them is wrong."""

import hashlib

import pytest
from networks import model_folder

from app_aws import registry
from skylens.errors import ModelError


def versions(place, *ids):
    for one in ids:
        name, _, version = one.partition("@")
        folder = model_folder(place / one)
        text = (folder / "model.toml").read_text("utf-8")
        text = text.replace('name = "cifar10"', f'name = "{name}"').replace('version = "1"', f'version = "{version}"')
        (folder / "model.toml").write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("cifar10@1", "cifar10@1"),
        ("net", "net@1.10"),
        ("net@1.9", "net@1.9"),
        ("other", "other@b"),
    ],
)
def test_a_name_means_its_highest_version(tmp_path, wanted, found):
    versions(tmp_path, "cifar10@1", "net@1.9", "net@1.10", "net@1.2", "other@b", "other@a")
    assert registry.find(wanted, tmp_path, tmp_path / "none") == tmp_path / found


def test_anything_with_a_slash_is_a_path(tmp_path):
    assert registry.find(f"{tmp_path}/some", tmp_path) == tmp_path / "some"


def test_the_bundled_model_is_there_without_any_folder(tmp_path):
    assert registry.find("cifar10", tmp_path / "none") == registry.BUNDLED / "cifar10"


def test_an_unknown_name_says_what_there_is(tmp_path):
    with pytest.raises(ModelError, match=r"no model 'resnet'; there are cifar10@1"):
        registry.find("resnet", tmp_path)


def test_a_broken_folder_is_listed_with_its_problem(tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.toml").write_text("name = 3")
    (tmp_path / ".adding-x").mkdir()
    bundled, broken = registry.entries(tmp_path)
    assert bundled.manifest.id == "cifar10@1"
    assert broken.manifest is None
    assert "name = 3" in broken.problem


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "1" * 5000], ids=["deep", "long"])
def test_one_nonsensical_manifest_hides_no_other_model(tmp_path, text):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.toml").write_text(text)
    assert registry.find("cifar10", tmp_path) == registry.BUNDLED / "cifar10"


def test_the_default_folder_follows_xdg():
    assert str(registry.models_dir("/m", {"XDG_DATA_HOME": "/x"})) == "/m"
    assert str(registry.models_dir("", {"XDG_DATA_HOME": "/x"})) == "/x/skylens/models"
    assert str(registry.models_dir("", {"HOME": "/h"})) == "/h/.local/share/skylens/models"


@pytest.mark.parametrize("name", registry.FILES)
def test_a_missing_file_is_named(tmp_path, name):
    folder = model_folder(tmp_path / "m")
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{folder / name} cannot be read"):
        registry.load(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match="there is no model folder"):
        registry.load(tmp_path / "m")


def test_a_damaged_network_is_refused_before_it_runs(tmp_path):
    folder = model_folder(tmp_path / "m")
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match="is damaged: its SHA-256 is"):
        registry.load(folder)


def test_a_network_of_the_right_digest_that_is_none_is_refused(tmp_path):
    folder = model_folder(tmp_path / "m")
    right = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "model.onnx").write_bytes(b"nonsense")
    text = (folder / "model.toml").read_text("utf-8")
    (folder / "model.toml").write_text(text.replace(right, hashlib.sha256(b"nonsense").hexdigest()), "utf-8")
    with pytest.raises(ModelError, match="cannot be loaded"):
        registry.load(folder)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (b"", "one label a line"),
        (b"cat\n\ndog\n", "one label a line"),
        (b"\xfcber\n", "not UTF-8"),
        (b"x" * 1025 + b"\ndog" * 9, "a label of 1025 bytes"),
        (b"cat\ndog\n", "labels.txt has 2 labels, but the model gives 10 scores"),
    ],
)
def test_wrong_labels_are_refused(tmp_path, labels, said):
    folder = model_folder(tmp_path / "m")
    (folder / "labels.txt").write_bytes(labels)
    with pytest.raises(ModelError, match=said):
        registry.load(folder)
