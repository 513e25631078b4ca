"""The models in a deployment's state bucket: ``models/<name>/<version>/``, each version written once and for ever."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from app_aws import manifest as manifests
from app_aws import registry
from app_aws.engine import OnnxEngine
from app_aws.manifest import Manifest
from skylens import active
from skylens.errors import ModelError
from skylens.store import Store

PREFIX = "models/"
_KINDS = {
    registry.NETWORK: "application/octet-stream",
    registry.LABELS: "text/plain",
    manifests.FILE: "application/toml",
}
"""In the order in which they are written: a version is there once its manifest is."""


class BucketRegistry:
    def __init__(self, store: Store) -> None:
        """``store``: the state bucket."""
        self._store = store

    def push(self, folder: Path) -> Manifest:
        """Put a model there; again is harmless. Raises ModelError when it is wrong, or other bytes have its version."""
        pushed = registry.load(folder).manifest
        for name, kind in _KINDS.items():
            key, data = _key(pushed.id, name), (folder / name).read_bytes()
            if self._store.put_if(key, data, kind, etag=None) is None and self._bytes(key) != data:
                raise ModelError(
                    f"{pushed.id} is in the bucket already, with another {name};"
                    " a version never changes: give this model another one"
                )
        return pushed

    def models(self) -> Iterator[str]:
        """Each ``name@version`` that is there."""
        for key in self._store.keys(PREFIX):
            name, _, rest = key.removeprefix(PREFIX).partition("/")
            version, _, file = rest.partition("/")
            if file == manifests.FILE:
                yield f"{name}@{version}"

    def manifest(self, model_id: str) -> Manifest:
        """Raises ModelError when it is missing or wrong."""
        data = self._bytes(_key(model_id, manifests.FILE))
        try:
            found = manifests.parse(data.decode("utf-8"))
        except (ModelError, UnicodeDecodeError) as error:
            raise ModelError(f"{_key(model_id, manifests.FILE)}: {error}") from error
        if found.id != model_id:
            raise ModelError(f"{_key(model_id, manifests.FILE)} is that of {found.id}")
        return found

    def load(self, model_id: str, installed: Path, *, max_pixels: int) -> OnnxEngine:
        """Check and warm up a version: an equal one in ``installed``, or bundled, which spares the fetch, or its own.

        Raises ModelError saying what is wrong with it.
        """
        self.manifest(model_id)
        said = {name: self._bytes(_key(model_id, name)) for name in (manifests.FILE, registry.LABELS)}
        for entry in registry.entries(installed):
            if entry.manifest and entry.manifest.id == model_id and _has(entry.folder, said):
                return registry.load(entry.folder, max_pixels=max_pixels)
        return self.fetched(model_id, max_pixels=max_pixels)

    def fetched(self, model_id: str, *, max_pixels: int = registry.MAX_PIXELS) -> OnnxEngine:
        """Fetch, check and warm up a version. Raises ModelError as ``load`` does.

        Nothing is left on the disk, so a worker needs no room for old versions and no right to write its models.
        """
        with tempfile.TemporaryDirectory(prefix="skylens-model-") as scratch:
            folder = Path(scratch)
            for name in _KINDS:
                (folder / name).write_bytes(self._bytes(_key(model_id, name)))
            try:
                return registry.load(folder, max_pixels=max_pixels)
            except ModelError as error:
                raise ModelError(error.detail.replace(str(folder), _key(model_id, "").rstrip("/"))) from error

    def _bytes(self, key: str) -> bytes:
        found = self._store.get(key, sys.maxsize)  # the operator's own, and as large as a model may be
        if found is None:
            raise ModelError(f"there is no {key} in the bucket; `skylens models push` puts a model there")
        return found.data


def _key(model_id: str, file: str) -> str:
    name, version = active.parse(model_id)
    return f"{PREFIX}{name}/{version}/{file}"


def _has(folder: Path, files: Mapping[str, bytes]) -> bool:
    try:
        return all((folder / name).read_bytes() == data for name, data in files.items())
    except OSError:
        return False
