"""A model is installed whole and checked, or not at all, whatever it comes from."""

import hashlib

import httpx2
import pytest
from packs import installed, members, saved, zip_of

from app_aws import download, install, registry
from app_aws.engine import top
from app_aws.install import Description, add
from skylens.errors import ModelError


def test_a_folder_is_copied_and_works(models, source):
    assert add(str(source), models).id == "cifar10@1"
    assert installed(models) == ["cifar10@1"]
    assert registry.load(registry.find("cifar10@1", models, models / "none")).model.version == "1"


def test_a_folder_of_models_that_cannot_be_written_is_a_model_error(models, source):
    models.write_text("a file in its place")
    with pytest.raises(ModelError, match=f"{models}: File exists"):
        add(str(source), models)


@pytest.mark.parametrize("name", registry.FILES)
def test_a_folder_without_one_of_its_files_is_refused(models, source, name):
    (source / name).unlink()
    with pytest.raises(ModelError, match=f"has no {name}"):
        add(str(source), models)
    assert installed(models) == []


def test_an_error_names_the_source_and_not_the_staging_place(models, source):
    (source / "labels.txt").write_text("cat\n")
    with pytest.raises(ModelError, match=f"^{source}: labels.txt has 1 labels"):
        add(str(source), models)


def test_what_is_installed_is_replaced_only_when_told(models, source):
    add(str(source), models)
    labels = (source / "labels.txt").read_text("utf-8").replace("cat", "moggy")
    (source / "labels.txt").write_text(labels, "utf-8")
    with pytest.raises(ModelError, match=r"installed already.*--replace"):
        add(str(source), models)
    assert "cat" in registry.read_labels(models / "cifar10@1" / "labels.txt")
    add(str(source), models, replace=True)
    assert "moggy" in registry.read_labels(models / "cifar10@1" / "labels.txt")
    assert installed(models) == ["cifar10@1"]


def test_a_failed_replacement_leaves_the_old_model(models, source, monkeypatch):
    add(str(source), models)
    real = install.Path.rename

    def refuse(path, target):
        if path.name == "model":
            raise OSError(28, "No space left on device")
        return real(path, target)

    monkeypatch.setattr(install.Path, "rename", refuse)
    with pytest.raises(ModelError, match="No space left"):
        add(str(source), models, replace=True)
    assert registry.load(models / "cifar10@1")


@pytest.mark.parametrize("source", ["nowhere", "/nowhere/m.zip"])
def test_a_missing_source_is_named(models, source):
    with pytest.raises(ModelError, match=f"no file or folder {source}"):
        add(source, models)


def test_a_file_of_another_kind_is_refused(models, tmp_path):
    with pytest.raises(ModelError, match=r"expected a model folder, \.tar\.gz"):
        add(saved(tmp_path / "m.rar", b"x"), models)


def test_a_local_file_may_be_held_to_a_digest(models, source, tmp_path):
    packed = saved(tmp_path / "m.zip", zip_of(members(source)))
    with pytest.raises(ModelError, match="not what was expected"):
        add(packed, models, sha256="0" * 64)
    with pytest.raises(ModelError, match="for a file or a URL"):
        add(str(source), models, sha256="0" * 64)
    add(packed, models, sha256=hashlib.sha256((tmp_path / "m.zip").read_bytes()).hexdigest().upper())


def test_what_is_installed_is_what_the_digest_was_taken_of(models, source, tmp_path, monkeypatch):
    packed = saved(tmp_path / "m.zip", zip_of(members(source)))
    digest = hashlib.sha256((tmp_path / "m.zip").read_bytes()).hexdigest()
    compare = download.compare

    def compare_and_change(*arguments):
        compare(*arguments)
        (tmp_path / "m.zip").write_bytes(b"of somebody else")

    monkeypatch.setattr(download, "compare", compare_and_change)
    add(packed, models, sha256=digest)


def web(answers):
    """A client of a web that answers ``answers``: URL -> response."""

    def answer(request):
        return answers.get(str(request.url), httpx2.Response(404))

    return httpx2.Client(transport=httpx2.MockTransport(answer), follow_redirects=True)


URL = "https://example.org/models/m.zip"


def served(data):
    return httpx2.Response(200, stream=httpx2.ByteStream(data), headers={"content-length": str(len(data))})


def test_a_download_is_installed_when_its_digest_is_right(models, source):
    data, seen = zip_of(members(source)), []
    add(
        URL,
        models,
        sha256=hashlib.sha256(data).hexdigest(),
        http=web({URL: served(data)}),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert installed(models) == ["cifar10@1"]
    assert seen[-1] == (len(data), len(data))


@pytest.mark.parametrize(
    ("url", "answer", "sha256", "said"),
    [
        (URL, served(b"x"), "", "needs --sha256"),
        (URL, served(b"x"), "12ab", "needs --sha256"),
        (URL, served(b"x"), "0" * 64, "not what was expected"),
        (URL, httpx2.Response(500), "0" * 64, "answered 500, not 200"),
        (URL, httpx2.Response(302, headers={"location": "http://example.org/m.zip"}), "0" * 64, "only https"),
        ("http://example.org/m.zip", httpx2.Response(200), "0" * 64, "only https"),
        ("file:///etc/passwd", httpx2.Response(200), "0" * 64, "only https"),
        ("https://example.org/m.exe", httpx2.Response(200), "0" * 64, "expected a model folder"),
    ],
)
def test_a_download_that_is_not_right_is_refused(models, url, answer, sha256, said):
    with pytest.raises(ModelError, match=said):
        add(url, models, sha256=sha256, http=web({url: answer, "http://example.org/m.zip": httpx2.Response(200)}))
    assert installed(models) == []


def test_a_download_is_cut_off_at_its_limit(tmp_path):
    http = web({URL: served(b"x" * 200_000)})
    with pytest.raises(ModelError, match="larger than 100000 bytes"):
        download.fetch(URL, tmp_path / "m.zip", "0" * 64, http, lambda _done, _total: None, limit=100_000)


def test_an_unreachable_host_is_a_model_error(tmp_path):
    def refuse(request):
        raise httpx2.ConnectError("refused")

    http = httpx2.Client(transport=httpx2.MockTransport(refuse))
    with pytest.raises(ModelError, match="cannot be fetched: refused"):
        download.fetch(URL, tmp_path / "m.zip", "0" * 64, http, lambda _done, _total: None)


def test_a_bare_network_is_described_by_itself_and_the_options(models, source):
    described = Description(labels=source / "labels.txt", name="mine", resize="squash", mean=(1, 2, 3), std=(2,))
    found = add(str(source / "model.onnx"), models, description=described)
    assert installed(models) == ["mine@1"]
    assert (found.input.name, found.input.shape, found.output.name) == ("image", (3, 32, 32), "probabilities")
    assert (found.input.mean, found.input.std) == ((1.0, 2.0, 3.0), (2.0, 2.0, 2.0))
    assert found.licence == "unknown"


def test_a_bare_network_takes_its_name_from_the_file(models, source):
    (source / "model.onnx").rename(source / "My Net (v2).onnx")
    found = add(str(source / "My Net (v2).onnx"), models, description=Description(labels=source / "labels.txt"))
    assert found.name == "my-net-v2"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs --labels"),
        ({"labels": "labels.txt", "mean": (1.0, 2.0)}, r"input\.mean = \[1\.0, 2\.0\]"),
        ({"labels": "labels.txt", "name": "No Good"}, "name = 'No Good'"),
        ({"labels": "labels.txt", "layout": "NHWC"}, "is of shape"),
        ({"labels": "labels.txt", "std": (0.0,)}, r"input\.std\[0\] = 0\.0"),
    ],
)
def test_a_wrong_description_is_refused(models, source, options, said):
    if "labels" in options:
        options = options | {"labels": source / options["labels"]}
    with pytest.raises(ModelError, match=said):
        add(str(source / "model.onnx"), models, description=Description(**options))
    assert installed(models) == []


CATS = {"tabby", "tiger_cat", "Egyptian_cat"}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mobilenet_v2_1.0_224_fp32", {"mean": (127.5,), "std": (127.5,)}),
        ("squeezenet1.1_fp32_dyn", {"colour": "BGR", "mean": (104, 117, 123)}),
    ],
)
def test_an_imagenet_model_is_added_and_knows_a_cat(models, shared, name, options):
    labels = shared / "models" / "imagenet1k_labels.txt"
    add(str(shared / "models" / f"{name}.onnx"), models, description=Description(labels=labels, **options))
    engine = registry.load(registry.find(name, models))
    scores = engine.infer([engine.prepare((shared / "images/cc0/chelsea.png").read_bytes())])
    assert top(scores[0], engine.labels, 1)[0].label in CATS


@pytest.mark.shared
def test_a_network_of_8_bit_numbers_that_nobody_checked_is_refused(models, shared):
    labels, network = shared / "models" / "imagenet1k_labels.txt", "mobilenet_v1_0.5_160_int8qdq.onnx"
    with pytest.raises(ModelError, match="skylens models quantize"):
        add(str(shared / "models" / network), models, description=Description(labels=labels))
    assert installed(models) == []


@pytest.mark.shared
def test_a_model_of_batch_one_works(models, shared, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"face {number}" for number in range(128)))
    network = shared / "models" / "mobilefacenet_foamliu_128d.onnx"
    add(str(network), models, description=Description(labels=labels, softmax=True))
    engine = registry.load(registry.find(network.stem, models))
    image = engine.prepare((shared / "images/ccby/face.jpg").read_bytes())
    assert engine.infer([image, image, image]).shape == (3, 128)


@pytest.mark.shared
def test_a_model_that_leaves_its_size_open_needs_it_said(shared):
    network = (shared / "models" / "yunet_s_dynamic.onnx").read_bytes()
    with pytest.raises(ModelError, match="--size"):
        install.describe(network, "yunet", "yunet.onnx", Description())
    assert install.describe(network, "yunet", "yunet.onnx", Description(size=320)).input.shape == (3, 320, 320)
