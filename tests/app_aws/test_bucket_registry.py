"""A version in the bucket is whole, never changes, and is checked again before it works; the commands say so."""

import json

import pytest
from networks import model_folder

from app_aws import models_bucket, registry
from app_aws.bucket import BucketRegistry
from skylens import active
from skylens.cli import main
from skylens.errors import ModelError
from skylens.fakes import FakeStore, aws_error


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def bucket(store):
    return BucketRegistry(store)


def version(place, number, *, labels=()):
    """A copy of the bundled model as another version; ``labels``: (old, new) of its names."""
    folder = model_folder(place / f"cifar10@{number}")
    text = (folder / "model.toml").read_text("utf-8").replace('version = "1"', f'version = "{number}"')
    (folder / "model.toml").write_text(text, "utf-8")
    if labels:
        (folder / "labels.txt").write_text((folder / "labels.txt").read_text("utf-8").replace(*labels), "utf-8")
    return folder


def test_what_is_pushed_is_listed_and_works(bucket, tmp_path):
    bucket.push(version(tmp_path, 2, labels=("cat", "moggy")))
    assert list(bucket.models()) == ["cifar10@2"]
    engine = bucket.load("cifar10@2", tmp_path / "none", max_pixels=1000)
    assert (engine.model.version, "moggy" in engine.labels) == ("2", True)


def test_pushing_the_same_again_is_harmless_and_other_bytes_are_refused(bucket, tmp_path):
    folder = version(tmp_path, 2)
    bucket.push(folder)
    bucket.push(folder)
    (folder / "labels.txt").write_text((folder / "labels.txt").read_text("utf-8").replace("cat", "moggy"), "utf-8")
    with pytest.raises(ModelError, match=r"cifar10@2 is in the bucket already, with another labels\.txt"):
        bucket.push(folder)
    assert "cat" in bucket.load("cifar10@2", tmp_path / "none", max_pixels=1000).labels


def test_a_push_that_was_cut_off_shows_nothing_and_can_be_done_again(bucket, store, tmp_path):
    folder = version(tmp_path, 2)
    real, calls = store.put_if, []

    def twice(*arguments, **options):
        calls.append(arguments[0])
        if len(calls) > 2:
            raise aws_error("SlowDown", 503)
        return real(*arguments, **options)

    store.put_if = twice
    with pytest.raises(type(aws_error("SlowDown"))):
        bucket.push(folder)
    assert len(store.objects) == 2
    assert list(bucket.models()) == []
    store.put_if = real
    bucket.push(folder)
    assert list(bucket.models()) == ["cifar10@2"]


def test_an_equal_installed_version_spares_the_fetch(bucket, store, tmp_path):
    bucket.push(version(tmp_path, 2))
    store.script.calls.clear()
    bucket.load("cifar10@2", tmp_path, max_pixels=1000)
    assert ("get", ("models/cifar10/2/model.onnx",)) not in store.script.calls
    (tmp_path / "cifar10@2" / "labels.txt").write_text("\n".join(f"l{number}" for number in range(10)))
    assert "cat" in bucket.load("cifar10@2", tmp_path, max_pixels=1000).labels
    assert ("get", ("models/cifar10/2/model.onnx",)) in store.script.calls


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("model.onnx", b"damaged", r"models/cifar10/2/model\.onnx is damaged: its SHA-256"),
        ("labels.txt", b"cat\n", r"models/cifar10/2: labels\.txt has 1 labels"),
        ("model.toml", b"name = 3", r"models/cifar10/2/model\.toml: name = 3"),
        ("model.onnx", None, r"there is no models/cifar10/2/model\.onnx in the bucket; `skylens models push`"),
        ("model.toml", None, r"there is no models/cifar10/2/model\.toml"),
    ],
)
def test_a_version_that_is_not_whole_is_not_put_to_work(bucket, store, tmp_path, name, data, said):
    bucket.push(version(tmp_path, 2))
    if data is None:
        store.delete(f"models/cifar10/2/{name}")
    else:
        store.put(f"models/cifar10/2/{name}", data, "text/plain")
    with pytest.raises(ModelError, match=said):
        bucket.load("cifar10@2", tmp_path / "none", max_pixels=1000)


def test_a_version_under_another_ones_name_is_refused(bucket, store, tmp_path):
    bucket.push(version(tmp_path, 2))
    for name in registry.FILES:
        store.copy(f"models/cifar10/2/{name}", f"models/cifar10/3/{name}")
    with pytest.raises(ModelError, match=r"models/cifar10/3/model\.toml is that of cifar10@2"):
        bucket.load("cifar10@3", tmp_path / "none", max_pixels=1000)


@pytest.fixture
def command(store, tmp_path, monkeypatch, capsys):
    """Run a command on the bucket; its status and what it said."""
    monkeypatch.setattr(models_bucket, "state", lambda: store)
    monkeypatch.setenv("SKYLENS_MODELS_DIR", str(tmp_path))

    def run(*words):
        status = main(["models", *words])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def test_a_version_is_pushed_activated_tried_and_rolled_back(command, store, tmp_path):
    for number in (2, 3):
        version(tmp_path, number)
        assert command("push", f"cifar10@{number}")[0] == 0
    assert "Nothing was ever activated" in command("active")[1]
    assert command("activate", "cifar10@2")[0] == 0
    status, said = command("activate", "cifar10@3", "--canary", "0.05")
    assert (status, "cifar10@3, for 5.00% of the requests" in said) == (0, True)
    assert command("list", "--bucket")[1].split() == ["cifar10@2", "active", "cifar10@3", "canary"]
    assert json.loads(command("list", "--bucket", "--json")[1]) == ["cifar10@2", "cifar10@3"]
    assert "active    cifar10@3" in command("activate", "cifar10@3")[1]
    assert "active    cifar10@2" in command("rollback")[1]
    assert json.loads(command("active", "--json")[1])["previous"] == "cifar10@3"
    assert active.read(store)[0].model == "cifar10@2"


def test_what_is_not_whole_is_not_activated(command, store, tmp_path):
    version(tmp_path, 2)
    command("push", "cifar10@2")
    store.put("models/cifar10/2/model.onnx", b"damaged", "text/plain")
    status, said = command("activate", "cifar10@2")
    assert (status, "models/cifar10/2/model.onnx is damaged" in said) == (2, True)
    assert command("activate", "cifar10@9")[0] == 2
    assert active.read(store) == (None, None)


def test_a_bucket_out_of_reach_is_one_line(command, store):
    store.script.fail("get", aws_error("AccessDenied", 403))
    status, said = command("active")
    assert status == 2
    assert said.startswith("skylens models: the state bucket cannot be reached: ")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("share", ["0", "1", "x", "-0.1"])
def test_a_share_that_is_none_is_refused(command, share):
    with pytest.raises(SystemExit) as end:
        command("activate", "cifar10@2", f"--canary={share}")
    assert end.value.code == 2
