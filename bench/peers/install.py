"""What a peer needs: a virtual environment of its own, and for Celery a Redis. Made once, in ``.cache/peers``."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "peers"
DEBIAN = (
    "redis-server",
    "redis-tools",
    "libhiredis0.14",
    "libjemalloc2",
    "liblua5.1-0",
    "liblzf1",
    "lua-bitop",
    "lua-cjson",
)
"""Debian 12's server and the libraries that it links."""


class MissingError(Exception):
    """A system cannot be installed or started; says why in one line."""


def pins(name: str) -> list[str]:
    """The exact versions of a peer's direct dependencies."""
    lines = (HERE / f"{name}.txt").read_text("utf-8").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.partition("#")[0].strip()]


def python(name: str) -> Path:
    """The interpreter of a peer's environment. Raises MissingError."""
    folder, wanted = CACHE / name, hashlib.sha256("\n".join(pins(name)).encode()).hexdigest()
    found, stamp = folder / "bin" / "python", folder / "installed"
    if not stamp.is_file() or stamp.read_text("utf-8") != wanted:
        print(f"Installing {name} in {folder.relative_to(CACHE.parents[1])} (once) ...", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        pip = (str(found), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary")
        _run(*pip, "-r", str(HERE / f"{name}.txt"))
        stamp.write_text(wanted, "utf-8")
    return found


def redis() -> tuple[Path, dict[str, str]]:
    """A redis-server and the variables that it needs: the one in the path, or Debian's. Raises MissingError."""
    if there := shutil.which("redis-server"):
        return Path(there), {}
    folder = CACHE / "redis"
    if not (folder / "usr").is_dir():
        print("Unpacking redis-server (once) ...", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        _run("apt-get", "download", *DEBIAN, within=folder)
        for package in folder.glob("*.deb"):
            _run("dpkg", "-x", str(package), str(folder))
    libraries = [str(path) for path in (folder / "usr" / "lib").glob("*-linux-gnu*")]
    return folder / "usr" / "bin" / "redis-server", {"LD_LIBRARY_PATH": os.pathsep.join(libraries)}


def _run(*command: str, within: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=within, capture_output=True, text=True, check=False)
    except OSError as error:
        raise MissingError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        told = next((line for line in said if line.startswith(("ERROR", "E:", "error"))), said[-1] if said else "")
        raise MissingError(f"cannot be installed: {told.strip()[:200] or f'{command[0]} ended with {done.returncode}'}")
