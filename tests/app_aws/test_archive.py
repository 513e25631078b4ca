"""Archives of models: unpacked in bounded memory, by our own names, or refused with a reason."""

import gzip
import tarfile
import tracemalloc
import zipfile

import pytest
from packs import installed, members, saved, tar_of, zip_of

from app_aws import archive, registry
from app_aws.install import add
from skylens.errors import ModelError


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
