"""A model is installed whole and checked, or not at all, whatever it comes from."""

import gzip
import hashlib
import io
import tarfile
import tracemalloc
import zipfile

import httpx2
import pytest
from networks import model_folder

from app_aws import archive, download, install, registry
from app_aws.engine import top
from app_aws.install import Description, add
from skylens.errors import ModelError


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def source(tmp_path):
    return model_folder(tmp_path / "source")


def installed(models):
    """Every name in the folder of models: leftovers would show."""
    return sorted(path.name for path in models.iterdir())


def members(source, prefix="", **extra):
    return {prefix + path.name: path.read_bytes() for path in sorted(source.iterdir())} | extra


def tar_of(files, link=None):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        if link:
            member = tarfile.TarInfo(link[0])
            member.type, member.linkname = tarfile.SYMTYPE, link[1]
            tar.addfile(member)
    return out.getvalue()


def zip_of(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return out.getvalue()


def saved(place, data):
    place.write_bytes(data)
    return str(place)


def test_a_folder_is_copied_and_works(models, source):
    assert add(str(source), models).id == "cifar10@1"
    assert installed(models) == ["cifar10@1"]
    assert registry.load(registry.find("cifar10@1", models, models / "none")).model.version == "1"


@pytest.mark.parametrize("prefix", ["", "cifar10/", "./"])
@pytest.mark.parametrize(("suffix", "pack"), [(".tar.gz", tar_of), (".tgz", tar_of), (".zip", zip_of)])
def test_an_archive_is_unpacked_from_its_top_or_one_folder(models, source, tmp_path, prefix, suffix, pack):
    packed = saved(tmp_path / f"m{suffix}", pack(members(source, prefix, **{"README.md": b"hello"})))
    add(packed, models)
    assert sorted(path.name for path in (models / "cifar10@1").iterdir()) == sorted(registry.FILES)


@pytest.mark.parametrize("evil", ["../evil.txt", "/tmp/evil.txt", "a/../../labels.txt"])
@pytest.mark.parametrize(("suffix", "pack"), [(".tar.gz", tar_of), (".zip", zip_of)])
def test_an_archive_that_points_outside_is_refused(models, source, tmp_path, evil, suffix, pack):
    packed = saved(tmp_path / f"m{suffix}", pack(members(source, **{evil: b"gotcha"})))
    with pytest.raises(ModelError, match="points outside"):
        add(packed, models)
    assert installed(models) == []
    assert not (tmp_path / "evil.txt").exists()


def test_a_backslash_path_points_outside_as_well(models, source, tmp_path):
    packed = saved(tmp_path / "m.zip", zip_of(members(source, **{"..\\evil.txt": b"gotcha"})))
    with pytest.raises(ModelError, match="points outside"):
        add(packed, models)


def test_a_link_in_an_archive_is_not_followed(models, source, tmp_path):
    files = members(source)
    del files["labels.txt"]
    packed = saved(tmp_path / "m.tar.gz", tar_of(files, link=("labels.txt", "/etc/hostname")))
    with pytest.raises(ModelError, match=r"has no labels\.txt"):
        add(packed, models)


def test_an_archive_larger_than_the_limit_is_refused(source, tmp_path):
    for name, pack in (("m.tar.gz", tar_of), ("m.zip", zip_of)):
        target = tmp_path / f"out-{name}"
        target.mkdir()
        saved(tmp_path / name, pack(members(source)))
        with pytest.raises(ModelError, match="more than 1000 bytes"):
            archive.unpack(tmp_path / name, target, limit=1000)


def test_an_archive_of_two_models_is_refused(models, source, tmp_path):
    packed = saved(tmp_path / "m.zip", zip_of(members(source, "a/") | members(source, "b/")))
    with pytest.raises(ModelError, match="twice; one model per archive"):
        add(packed, models)


@pytest.mark.parametrize("name", ["m.zip", "m.tar.gz"])
def test_a_damaged_archive_is_a_model_error(models, tmp_path, name):
    with pytest.raises(ModelError, match="cannot be unpacked"):
        add(saved(tmp_path / name, b"PK not really"), models)


def test_a_truncated_archive_is_a_model_error(models, source, tmp_path):
    whole = tar_of(members(source))
    with pytest.raises(ModelError, match="cannot be unpacked"):
        add(saved(tmp_path / "m.tar.gz", whole[: len(whole) // 2]), models)


def gz_of(kind, size):
    """A .tar.gz that starts with a member of that kind, ``size`` zeros long."""
    member = tarfile.TarInfo("padding")
    member.type, member.size = kind, size
    return gzip.compress(member.tobuf() + bytes(size), 1)


def peak_memory(work):
    """Bytes that Python held at most during ``work``."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "limit", "said"),
    [
        (tarfile.XHDTYPE, 10**9, "bytes of headers"),
        (tarfile.GNUTYPE_LONGNAME, 10**9, "bytes of headers"),
        (tarfile.REGTYPE, 10**6, "more than 1000000 bytes"),
    ],
)
def test_what_nobody_asked_for_is_not_unpacked_without_limit(tmp_path, kind, limit, said):
    bomb = tmp_path / "m.tar.gz"
    bomb.write_bytes(gz_of(kind, 50_000_000))

    def refused():
        with pytest.raises(ModelError, match=said):
            archive.unpack(bomb, tmp_path, limit)

    assert peak_memory(refused) < 10_000_000


def test_a_large_model_is_no_header(source, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_HEADERS", 12_000)
    assert (source / "model.onnx").stat().st_size > 12_000
    (tmp_path / "out").mkdir()
    saved(tmp_path / "m.tar.gz", tar_of(members(source)))
    archive.unpack(tmp_path / "m.tar.gz", tmp_path / "out")
    assert installed(tmp_path / "out") == sorted(registry.FILES)


def test_a_large_file_beside_the_model_is_passed_over(models, source, tmp_path):
    add(saved(tmp_path / "m.tar.gz", tar_of({"data.bin": bytes(10_000_000)} | members(source))), models)
    assert installed(models) == ["cifar10@1"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_cannot_be_unpacked_piece_by_piece_is_refused(models, source, tmp_path, method):
    with zipfile.ZipFile(tmp_path / "m.zip", "w", method) as packed:
        packed.write(source / "labels.txt", "labels.txt")
    with pytest.raises(ModelError, match=r"labels\.txt is not compressed in the usual way"):
        add(str(tmp_path / "m.zip"), models)


@pytest.mark.parametrize("records", [b"11 size=xx\n", b"99 GNU.sparse.map=1,2,3\n", b"xx path=a\n"])
def test_headers_that_make_no_sense_are_a_model_error(models, tmp_path, records):
    first = tarfile.TarInfo("x")
    first.type, first.size = tarfile.XHDTYPE, len(records)
    second = tarfile.TarInfo("labels.txt")
    data = first.tobuf() + records.ljust(512, b"\0") + second.tobuf() + bytes(1024)
    with pytest.raises(ModelError):
        add(saved(tmp_path / "m.tar.gz", gzip.compress(data)), models)


def test_a_zip_name_that_is_no_utf_8_is_a_model_error(models, tmp_path):
    data = zip_of({"\u00fc": b"x"}).replace("\u00fc".encode(), b"\xff\xff")
    with pytest.raises(ModelError, match="cannot be unpacked"):
        add(saved(tmp_path / "m.zip", data), models)


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
        ("mobilenet_v1_0.5_160_int8qdq", {"mean": (127.5,), "std": (127.5,)}),
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
