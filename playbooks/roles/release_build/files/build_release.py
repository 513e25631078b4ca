"""Builds one tier's release on the control node: our wheel and its hash-locked dependencies in one archive.

The archive holds ``lib/``, the launcher ``bin/skylens`` and ``bom.json``, which names all that is in it (CycloneDX); a
server needs no more than its distribution's ``python3``.
The release's id is the version and a digest of all that goes in, both tiers' locks included, so that unchanged sources
give the same id, and nothing is built. Prints ``{"release", "archive", "built"}`` as JSON. Run by the interpreter whose
``pip`` and ``hatchling`` it is to use.
"""

import argparse
import compileall
import gzip
import hashlib
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

GLIBC = 36
"""Minor version of the oldest glibc 2 served: Debian 12's."""
PLATFORMS = ["manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(5, GLIBC + 1))]
TIERS = ("web", "worker")
LAUNCHER = Path(__file__).with_name("launcher.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--tier", choices=TIERS, required=True)
    parser.add_argument("--python", required=True, help="minor version of the servers' Python, such as 3.11")
    parser.add_argument("--releases", default="/opt/skylens/releases", help="where a server keeps its releases")
    parser.add_argument("--check", action="store_true", help="only say what would be built")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(args.source, Path(folder))
        release = identify(args.source, wheel, args.python)
        archive = args.build / f"{release}-{args.tier}.tar.gz"
        built = not archive.exists()
        if built and not args.check:
            args.build.mkdir(parents=True, exist_ok=True)
            wheels = fetch(args.source / "requirements" / f"{args.tier}.txt", args.build, args.python)
            tree = Path(folder) / "tree"
            install(wheel, wheels, tree / "lib", args.python)
            launcher(tree / "bin" / "skylens", release, args.python)
            (tree / "bom.json").write_text(json.dumps(bill(wheel, wheels), indent=1) + "\n")
            byte_compile(tree, f"{args.releases}/{release}", args.python)
            pack(tree, archive)
    print(json.dumps({"release": release, "archive": str(archive), "built": built}))


def build_wheel(source: Path, folder: Path) -> Path:
    """Our own wheel, the same bytes for the same sources."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": "315532800"}
    subprocess.run(command, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own words
    return next(folder.glob("skylens-*.whl"))


def identify(source: Path, wheel: Path, python: str) -> str:
    locks = [source / "requirements" / f"{tier}.txt" for tier in TIERS]
    digest = hashlib.sha256(python.encode())
    for path in (wheel, *locks, LAUNCHER, Path(__file__)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{wheel.name.split('-')[1]}-{digest.hexdigest()[:12]}"


def fetch(lock: Path, build: Path, python: str) -> Path:
    """Folder with the wheels of ``lock`` for the servers' Python, fetched once for each content of the lock."""
    lines = list(requirements(lock.read_text(), python))
    text = "".join(f"{line}\n" for line in lines)
    digest = hashlib.sha256((text + python).encode()).hexdigest()[:12]
    wheels = build / f"wheels-{lock.stem}-{digest}"
    if not wheels.exists():
        with tempfile.TemporaryDirectory(dir=build, prefix=".wheels-") as folder:
            found = Path(folder) / "found"
            found.mkdir()
            (found / "lock.txt").write_text(text)
            pip("download", "--require-hashes", "-r", found / "lock.txt", "-d", found, *target(python))
            found.rename(wheels)
    return wheels


def requirements(lock: str, python: str) -> Iterator[str]:
    """The lock's lines that the servers' Python needs, without markers: pip would judge those by its own Python."""
    server = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    for line in lock.replace("\\\n", " ").splitlines():
        text, *hashes = line.partition("#")[0].split("--hash=")
        if not text.strip():
            continue
        wanted = Requirement(text.strip())
        if wanted.marker is None or wanted.marker.evaluate(server):
            yield " ".join([f"{wanted.name}{wanted.specifier}", *(f"--hash={each.strip()}" for each in hashes)])


def target(python: str) -> list[str]:
    """What makes pip choose wheels for the servers, whatever runs here."""
    abi = f"cp{python.replace('.', '')}"
    chosen = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    chosen += [f"--abi={each}" for each in (abi, "abi3", "none")]
    return chosen + [f"--platform={each}" for each in PLATFORMS]


def install(wheel: Path, wheels: Path, lib: Path, python: str) -> None:
    ours = f"skylens=={wheel.name.split('-')[1]} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
    lock = wheel.with_name("lock.txt")
    lock.write_text(f"{(wheels / 'lock.txt').read_text()}{ours}\n")
    found = ["--isolated", "--no-index", "--find-links", wheels, "--find-links", wheel.parent]
    pip("install", "--require-hashes", "-r", lock, "--target", lib, "--no-compile", *found, *target(python))
    shutil.rmtree(lib / "bin", ignore_errors=True)  # scripts that would start the control node's Python


def bill(ours: Path, wheels: Path) -> dict[str, object]:
    """What the release is made of, as CycloneDX 1.6; without a time, so that the same release is the same file."""
    parts = [component(wheel, "library") for wheel in sorted(wheels.glob("*.whl"))]
    whole = component(ours, "application")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": whole},
        "components": parts,
        "dependencies": [{"ref": whole["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def component(wheel: Path, kind: str) -> dict[str, object]:
    name, version, _, _ = parse_wheel_filename(wheel.name)
    url = f"pkg:pypi/{name}@{version}"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    hashes = [{"alg": "SHA-256", "content": digest}]
    return {"type": kind, "bom-ref": url, "name": name, "version": str(version), "purl": url, "hashes": hashes}


def pip(*words: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, words)]
    subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603 - our own words


def launcher(path: Path, release: str, python: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(LAUNCHER.read_text().replace("@release@", release).replace("@python@", python))
    path.chmod(0o755)


def byte_compile(tree: Path, home: str, python: str) -> None:
    """Compile if this is the servers' Python; a server compiles for itself what comes without."""
    if python != f"{sys.version_info.major}.{sys.version_info.minor}":
        return
    never = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(tree / "lib", quiet=2, stripdir=str(tree), prependdir=home, invalidation_mode=never)


def pack(tree: Path, archive: Path) -> None:
    """Write the archive, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".pack-") as folder:
        made = Path(folder) / archive.name
        with (
            made.open("wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for path in sorted(tree.rglob("*")):
                tar.add(path, arcname=str(path.relative_to(tree)), recursive=False, filter=_nobodys)
        made.rename(archive)


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 315532800
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


if __name__ == "__main__":
    main()
