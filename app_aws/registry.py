"""The models on this machine: folders of ``model.onnx``, ``labels.txt`` and ``model.toml``, checked when loaded."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from app_aws import manifest as manifests
from app_aws.engine import OnnxEngine, open_session
from app_aws.manifest import Manifest
from skylens.errors import ModelError
from skylens.messages import LONGEST_LABEL

NETWORK, LABELS = "model.onnx", "labels.txt"
FILES = (NETWORK, LABELS, manifests.FILE)
BUNDLED = Path(__file__).parent / "models"
MAX_PIXELS = 50_000_000
_EIGHT_BIT = (b"QuantizeLinear", b"DequantizeLinear", b"DynamicQuantizeLinear", b"QLinearConv", b"ConvInteger")
_OP_TYPE = b"\x22"
"""What precedes the length and the name of an operator in an ONNX file: field 4 of ``NodeProto``, as a string."""


class Entry(NamedTuple):
    """A model folder: its manifest, or the problem with it."""

    folder: Path
    manifest: Manifest | None
    problem: str = ""


def models_dir(setting: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Folder of installed models: the setting, or ``$XDG_DATA_HOME/skylens/models``."""
    data = environment.get("XDG_DATA_HOME", "") or f"{environment.get('HOME', '')}/.local/share"
    return Path(setting or f"{data}/skylens/models")


def entries(installed: Path, bundled: Path = BUNDLED) -> list[Entry]:
    """Every model folder, the bundled ones first; only manifests are read."""
    found = []
    for place in (bundled, installed):
        folders = sorted(place.iterdir()) if place.is_dir() else []
        found += [_entry(folder) for folder in folders if (folder / manifests.FILE).is_file()]
    return found


def _entry(folder: Path) -> Entry:
    try:
        return Entry(folder, manifests.read(folder))
    except ModelError as error:
        return Entry(folder, None, error.detail)


def find(wanted: str, installed: Path, bundled: Path = BUNDLED) -> Path:
    """The folder of ``name``, of ``name@version``, or at a path (anything with a slash).

    A bare name means its highest version. Raises ModelError naming the models that there are.
    """
    if "/" in wanted or wanted in {".", ".."}:
        return Path(wanted)
    known = {entry.manifest.id: entry.folder for entry in entries(installed, bundled) if entry.manifest}
    matching = [known_id for known_id in known if wanted in {known_id, known_id.partition("@")[0]}]
    if not matching:
        raise ModelError(f"there is no model {wanted!r}; there are {', '.join(sorted(known)) or 'none'} in {installed}")
    return known[max(matching, key=_version_key)]


def _version_key(model_id: str) -> list[tuple[bool, int, str]]:
    """Orders 1.10 after 1.9, numbers before words."""
    parts = re.findall(r"\d+|[^\d._-]+", model_id.partition("@")[2])
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def load(folder: Path, *, max_pixels: int = MAX_PIXELS, threads: int = 1) -> OnnxEngine:
    """Check everything about a model folder and make it ready to work. Raises ModelError saying what is wrong.

    ``threads``: each call uses.
    """
    if not folder.is_dir():
        raise ModelError(f"there is no model folder {folder}")
    manifest, labels = manifests.read(folder), read_labels(folder / LABELS)
    network = _bytes(folder / NETWORK)
    digest = hashlib.sha256(network).hexdigest()
    if digest != manifest.sha256:
        raise ModelError(f"{folder / NETWORK} is damaged: its SHA-256 is {digest}, model.toml says {manifest.sha256}")
    if manifest.quantised is None and is_quantised(network):
        raise ModelError(
            f"{folder} has a network of 8-bit numbers, but no table [quantised] in model.toml says that it was checked;"
            " `skylens models quantize` makes such a network of a float32 one, checks it and says so"
        )
    try:
        return assemble(manifest, labels, network, max_pixels=max_pixels, threads=threads)
    except ModelError as error:
        raise ModelError(f"{folder}: {error.detail}") from error


def assemble(
    manifest: Manifest,
    labels: tuple[str, ...],
    network: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    threads: int = 1,
) -> OnnxEngine:
    """The three parts of a model as what recognises. Raises ModelError when they do not fit together."""
    session = open_session(network, threads)
    return OnnxEngine(manifest, labels, session, max_pixels=max_pixels)


def is_quantised(network: bytes) -> bool:
    """Whether the network computes with 8-bit numbers, by the operators that it names."""
    return any(_OP_TYPE + bytes([len(name)]) + name in network for name in _EIGHT_BIT)


def read_labels(path: Path) -> tuple[str, ...]:
    """One label a line, UTF-8. Raises ModelError when there are none, or one is empty or too long for an answer."""
    try:
        labels = tuple(line.strip() for line in _bytes(path).decode("utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not UTF-8: {error}") from error
    if not labels or not all(labels):
        raise ModelError(f"{path} must hold one label a line and no empty line")
    longest = max(labels, key=lambda label: len(label.encode()))
    if len(longest.encode()) > LONGEST_LABEL:
        raise ModelError(
            f"{path} has a label of {len(longest.encode())} bytes, {longest[:40]!r}...; at most {LONGEST_LABEL}"
        )
    return labels


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
