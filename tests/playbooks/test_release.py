"""A release is the same for the same sources, and runs with nothing but the distribution's Python."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name
from playbook import PLAYBOOKS
from rendered import need

SOURCE = PLAYBOOKS.parent
SCRIPT = PLAYBOOKS / "roles" / "release_build" / "files" / "build_release.py"
PARTS = ("skylens", "web_openstack", "app_aws", "autoscaler", "requirements", "pyproject.toml", "README.md", "LICENSE")


def distribution_python() -> str:
    """Minor version of ``/usr/bin/python3``."""
    said = [need("/usr/bin/python3"), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.check_output(said, text=True).strip()


def build(source: Path, folder: Path, *words: str):
    command = [sys.executable, SCRIPT, "--source", source, "--build", folder, "--tier", "web", *words]
    done = subprocess.run([*command, "--python", distribution_python()], check=True, stdout=subprocess.PIPE)
    return SimpleNamespace(**json.loads(done.stdout))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of the sources, the folder they were built in, and what was built."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("build")
    for part in PARTS:
        place = SOURCE / part
        if place.is_dir():
            shutil.copytree(place, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, source)
    return SimpleNamespace(source=source, folder=folder, release=build(source, folder))


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    tree = tmp_path_factory.mktemp("tree")
    subprocess.run(["tar", "-xf", built.release.archive, "-C", tree], check=True)
    return tree


def test_unchanged_sources_are_the_same_release_and_build_nothing(built):
    archive = Path(built.release.archive)
    before = archive.stat().st_mtime_ns
    again = build(built.source, built.folder)
    assert (again.release, again.built) == (built.release.release, False)
    assert archive.stat().st_mtime_ns == before


def test_changed_sources_are_another_release_and_a_check_builds_nothing(built):
    changed = built.source / "skylens" / "clock.py"
    text = changed.read_text()
    changed.write_text(f"{text}\n# changed\n")
    try:
        other = build(built.source, built.folder, "--check")
    finally:
        changed.write_text(text)
    assert other.release != built.release.release
    assert other.built
    assert not Path(other.archive).exists()


def test_the_same_release_built_again_is_the_same_file_to_the_byte(built):
    archive = Path(built.release.archive)
    before = archive.read_bytes()
    archive.unlink()
    assert build(built.source, built.folder).built
    assert archive.read_bytes() == before


def test_the_launcher_needs_nothing_of_its_environment(unpacked, tmp_path):
    (tmp_path / "skylens.py").write_text("raise SystemExit('the wrong module')")
    done = subprocess.run(
        [unpacked / "bin" / "skylens", "settings"],
        env={"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nowhere"},
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "SKYLENS_NOVA_CLOUD" in done.stdout


def test_every_tier_of_the_web_node_imports_from_the_release_alone(unpacked):
    code = "import sys; sys.path.insert(0, sys.argv[1]); import web_openstack.main, autoscaler.main, openstack, boto3"
    subprocess.run([need("/usr/bin/python3"), "-ISBc", code, unpacked / "lib"], env={}, check=True)


def test_the_launcher_refuses_another_python(unpacked, tmp_path):
    launcher = (unpacked / "bin" / "skylens").read_text()
    other = tmp_path / "skylens"
    other.write_text(launcher.replace(f'"{distribution_python()}"', '"3.99"'))
    done = subprocess.run([need("/usr/bin/python3"), "-ISB", other], text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert "was built for Python 3.99" in done.stderr
    assert "skylens_python" in done.stderr


def test_the_release_holds_no_tests_and_no_scripts_of_the_build_machine(unpacked):
    ours = next((unpacked / "lib").glob("skylens-*.dist-info")) / "RECORD"
    assert not [line for line in ours.read_text().splitlines() if line.startswith(("tests/", "bench/", "playbooks/"))]
    assert sorted(path.name for path in (unpacked / "bin").iterdir()) == ["skylens"]
    assert not (unpacked / "lib" / "bin").exists()


def test_the_release_says_what_it_is_made_of(built, unpacked):
    """By CycloneDX's own schema; the lock's versions, of wheels with the lock's digests, and no more."""
    text = (unpacked / "bom.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    wheels = next(built.folder.glob("wheels-web-*"))
    found = {(one["name"], one["version"]): one["hashes"][0]["content"] for one in bill["components"]}
    locked = {}
    for line in (wheels / "lock.txt").read_text().splitlines():
        pin, *hashes = line.split(" --hash=sha256:")
        name, _, version = pin.partition("==")
        locked[canonicalize_name(name), version] = hashes
    assert set(found) == set(locked)
    assert all(digest in locked[part] for part, digest in found.items())
    installed = {path.name.split("-")[0] for path in (unpacked / "lib").glob("*.dist-info")}
    assert {canonicalize_name(name) for name in installed} == {name for name, _ in found} | {"skylens"}
    assert bill["metadata"]["component"]["name"] == "skylens"


def test_requirements_are_chosen_for_the_servers_python_not_for_this_one():
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        from build_release import requirements
    finally:
        sys.path.pop(0)
    lock = (
        'a==1 ; python_full_version < "3.12" \\\n    --hash=sha256:aa\n'
        'b==2 ; python_full_version >= "3.12" \\\n    --hash=sha256:bb\n'
    )
    assert list(requirements(lock, "3.11")) == ["a==1 --hash=sha256:aa"]
    assert list(requirements(lock, "3.13")) == ["b==2 --hash=sha256:bb"]
