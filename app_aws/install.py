"""Puts a model among the installed ones: from a folder, an archive or a bare ``.onnx`` file, local or over HTTPS.

Nothing appears under its name until it is checked: a model is staged in a folder beside its place and then renamed.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2

from app_aws import archive, download, registry
from app_aws import manifest as manifests
from app_aws.engine import open_session
from app_aws.manifest import Manifest
from skylens.errors import ModelError

_ARCHIVES = archive.TAR + archive.ZIP
_SPATIAL = 4
"""Dimensions of an image tensor: batch, channels, height and width in some order."""


@dataclass(frozen=True)
class Description:
    """What a bare ``.onnx`` file does not say of itself. ``mean``, ``std``: one value or three, see ``Input``."""

    labels: Path | None = None
    name: str = ""
    size: int | None = None
    """Pixels of width and height; needed where the network leaves them open."""
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    colour: Literal["RGB", "BGR"] = "RGB"
    layout: Literal["NCHW", "NHWC"] | None = None
    """By default seen from where the network has its three channels."""
    resize: Literal["squash", "crop"] = "crop"
    softmax: bool = False
    licence: str = "unknown"


def add(
    source: str,
    models_dir: Path,
    *,
    sha256: str = "",
    description: Description | None = None,
    replace: bool = False,
    http: httpx2.Client | None = None,
    progress: download.Progress = lambda _done, _total: None,
) -> Manifest:
    """Install the model at ``source``, a path or an https URL (then ``sha256`` of the file is needed).

    Raises ModelError saying what is wrong; then nothing was installed.
    """
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".adding-", dir=models_dir) as scratch:
            stage = Path(scratch) / "model"
            stage.mkdir()
            origin = _obtain(source, Path(scratch), sha256, http, progress)
            _stage(origin, stage, source, description or Description())
            manifest = _checked(stage, source)
            _place(stage, models_dir / manifest.id, Path(scratch) / "old", replace=replace)
    except OSError as error:
        raise ModelError(f"{error.filename or models_dir}: {error.strerror or error}") from error
    return manifest


def _checked(stage: Path, source: str) -> Manifest:
    """The staged model's manifest, once everything about it is right. Raises ModelError that names ``source``."""
    try:
        return registry.load(stage).manifest
    except ModelError as error:
        raise ModelError(error.detail.replace(str(stage), source)) from error


def _obtain(source: str, scratch: Path, sha256: str, http: httpx2.Client | None, progress: download.Progress) -> Path:
    """A path on this machine with what ``source`` names, its digest checked."""
    if "://" in source:
        return _download(source, scratch, sha256, http or download.client(), progress)
    path = Path(source)
    if not path.exists():
        raise ModelError(f"there is no file or folder {source}")
    if sha256:
        if path.is_dir():
            raise ModelError("--sha256 is for a file or a URL; a folder's model.toml has its own")
        _refuse_kind(path)
        path = Path(shutil.copyfile(path, scratch / path.name))  # who may write there changes nothing any more
        with path.open("rb") as file:
            download.compare(source, hashlib.file_digest(file, "sha256").hexdigest(), sha256)
    return path


def _download(url: str, scratch: Path, sha256: str, http: httpx2.Client, progress: download.Progress) -> Path:
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise ModelError(f"{url}: only https URLs are fetched")
    if not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise ModelError("a URL needs --sha256 with the 64 hex digits of the file's SHA-256")
    target = scratch / (Path(parts.path).name or "download")
    _refuse_kind(target)
    with http:
        download.fetch(url, target, sha256, http, progress)
    return target


def _refuse_kind(path: Path) -> None:
    if not path.name.endswith((*_ARCHIVES, ".onnx")):
        raise ModelError(f"{path.name}: expected a model folder, {', '.join(_ARCHIVES)} or .onnx")


def _stage(origin: Path, stage: Path, source: str, description: Description) -> None:
    """Bring the model's three files together in ``stage``."""
    if origin.is_dir():
        for name in registry.FILES:
            if not (origin / name).is_file():
                raise ModelError(f"{origin} has no {name}; a model folder holds {', '.join(registry.FILES)}")
            shutil.copyfile(origin / name, stage / name)
        return
    _refuse_kind(origin)
    if origin.name.endswith(_ARCHIVES):
        archive.unpack(origin, stage)
        missing = [name for name in registry.FILES if not (stage / name).exists()]
        if missing:
            raise ModelError(f"{origin.name} has no {' and no '.join(missing)} at its top or in one folder")
        return
    _stage_onnx(origin, stage, source, description)


def _stage_onnx(origin: Path, stage: Path, source: str, description: Description) -> None:
    if description.labels is None:
        raise ModelError("a bare .onnx needs --labels FILE: one label a line, in the order of the model's scores")
    labels = registry.read_labels(description.labels)
    network = origin.read_bytes()
    manifest = describe(network, origin.stem, source, description)
    (stage / registry.NETWORK).write_bytes(network)
    (stage / registry.LABELS).write_text("\n".join(labels) + "\n", "utf-8")
    (stage / manifests.FILE).write_text(manifests.to_toml(manifest), "utf-8")


def describe(network: bytes, stem: str, source: str, description: Description) -> Manifest:
    """A manifest of the network: names and sizes from itself, the rest as described. Raises ModelError."""
    session = open_session(network)
    tensor = session.get_inputs()[0]
    layout, width, height = _geometry(tensor.shape, description)
    raw = {
        "name": description.name or re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:64],
        "version": "1",
        "description": f"Added from {stem}.onnx",
        "licence": description.licence,
        "source": source,
        "sha256": hashlib.sha256(network).hexdigest(),
        "input": {
            "name": tensor.name,
            "width": width,
            "height": height,
            "layout": layout,
            "colour": description.colour,
            "resize": description.resize,
            "mean": _three(description.mean),
            "std": _three(description.std),
        },
        "output": {
            "name": session.get_outputs()[0].name,
            "activation": "softmax" if description.softmax else "none",
        },
    }
    return manifests.build(raw)


def _geometry(shape: Sequence[Any], description: Description) -> tuple[str, int, int]:
    """Layout, width and height, from the network's input shape and what was described."""
    if len(shape) != _SPATIAL:
        raise ModelError(f"the model's input has shape {list(shape)}; an image model's has {_SPATIAL} dimensions")
    layout = description.layout or ("NHWC" if shape[3] == 3 and shape[1] != 3 else "NCHW")  # noqa: PLR2004 - channels
    sides = shape[2:] if layout == "NCHW" else shape[1:3]
    height, width = (side if isinstance(side, int) else description.size for side in sides)
    if width is None or height is None:
        raise ModelError(f"the model's input has shape {list(shape)}; say its width and height with --size")
    return layout, width, height


def _three(values: Sequence[float]) -> list[float]:
    return list(values) * 3 if len(values) == 1 else list(values)


def _place(stage: Path, target: Path, aside: Path, *, replace: bool) -> None:
    """Rename ``stage`` to ``target``. A model that is there already is moved aside first, and back if that fails."""
    if target.exists():
        if not replace:
            raise ModelError(f"{target.name} is installed already, in {target}; --replace puts this one in its place")
        target.rename(aside)
    try:
        stage.rename(target)
    except OSError as error:
        if aside.exists():
            aside.rename(target)
        raise ModelError(f"{target} cannot be written: {error.strerror}") from error
