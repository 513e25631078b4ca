"""Whatever a model's files hold, it is put to work or refused with a ModelError; nothing lands outside its folder."""

import hashlib
import shutil

import damaged
import pytest
from networks import model_folder

from app_aws import archive, manifest, registry
from app_aws.registry import BUNDLED
from skylens.errors import ModelError

SEED = 3
MANIFESTS, NETWORKS, LABELS, ARCHIVES = 100, 40, 20, 150
GOOD = BUNDLED / "cifar10"


def refusals(work, cases):
    """(How many were refused, how many there were); whatever else is raised fails the test with its number."""
    details, count = [], 0
    for count, one in enumerate(cases, 1):
        try:
            work(one)
        except ModelError as error:
            details.append(error.detail)
        except Exception as error:
            raise AssertionError(f"case {count}, seed {SEED}: {error!r}") from error
    print(f"{count} cases, seed {SEED}: {len(details)} refused")
    assert len(details) > count // 3
    assert all(10 < len(detail) < 1500 for detail in details), max(details, key=len)
    return count


def try_manifests(folder, count=MANIFESTS, seed=SEED):
    def work(text):
        (folder / manifest.FILE).write_bytes(text)
        manifest.read(folder)

    return refusals(work, damaged.manifests((GOOD / manifest.FILE).read_text("utf-8"), count, seed))


def try_networks(folder, count=NETWORKS, seed=SEED):
    right, data = (GOOD / manifest.FILE).read_text("utf-8"), (GOOD / registry.NETWORK).read_bytes()
    digest = hashlib.sha256(data).hexdigest()

    def work(network):
        (folder / registry.NETWORK).write_bytes(network)
        own = hashlib.sha256(network).hexdigest()
        (folder / manifest.FILE).write_text(right.replace(digest, own), "utf-8")
        registry.load(folder)

    return refusals(work, damaged.networks(data, count, seed))


def try_labels(folder, count=LABELS, seed=SEED):
    def work(text):
        (folder / registry.LABELS).write_bytes(text)
        registry.load(folder)

    return refusals(work, damaged.labels((GOOD / registry.LABELS).read_bytes(), count, seed))


def try_archives(place, count=ARCHIVES, seed=SEED):
    inside = place / "inside"
    target = inside / "target"

    def work(one):
        name, data = one
        shutil.rmtree(inside, ignore_errors=True)
        target.mkdir(parents=True)
        (inside / name).write_bytes(data)
        try:
            archive.unpack(inside / name, target, limit=10_000_000)
        finally:
            files = {path for path in place.rglob("*") if path.is_file() or path.is_symlink()}
            assert files - {inside / name} <= {target / wanted for wanted in registry.FILES}
            assert not any(path.is_symlink() for path in files)
        if any(not (target / wanted).exists() for wanted in registry.FILES):
            raise ModelError("a file is missing, as `skylens models add` says")

    return refusals(work, damaged.archives(GOOD, count, seed))


@pytest.fixture
def folder(tmp_path):
    return model_folder(tmp_path / "model")


def test_a_damaged_manifest_is_a_model_error(folder):
    try_manifests(folder)


def test_a_damaged_network_is_a_model_error_or_a_model(folder):
    try_networks(folder)


def test_damaged_labels_are_a_model_error(folder):
    try_labels(folder)


def test_a_damaged_or_evil_archive_is_a_model_error_and_stays_in_its_folder(tmp_path):
    try_archives(tmp_path)


@pytest.mark.soak
def test_many_damaged_models(folder, tmp_path):
    for seed in range(100, 110):
        try_manifests(model_folder(tmp_path / f"m{seed}"), 1000, seed)
        try_networks(model_folder(tmp_path / f"n{seed}"), 200, seed)
        try_labels(model_folder(tmp_path / f"l{seed}"), 50, seed)
        try_archives(tmp_path / f"a{seed}", 500, seed)
