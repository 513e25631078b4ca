"""What a running embedded cloud says of itself in its state file, for scripts and tests beside it."""

import os
from pathlib import Path

import msgspec

from skylens.decoders import decoder
from skylens.errors import SettingsError
from skylens.local import folder


class WebNode(msgspec.Struct, frozen=True, kw_only=True):
    """``url``: of the public API; ``internal``: of ``/internal/*``."""

    name: str
    url: str
    internal: str
    pid: int
    restarts: int


class Scaler(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    restarts: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """``ready``: every tier has answered; ``workers``: process id by instance; ``environment``: the AWS variables."""

    pid: int
    ready: bool
    deployment: str
    folder: str
    logs: str
    metadata: str
    """Address of the metadata service; an instance's own are below ``/<instance-id>``."""
    environment: dict[str, str]
    emulators: dict[str, int]
    web: list[WebNode]
    scaler: Scaler | None
    workers: dict[str, int]


def prepare(path: Path) -> None:
    """Raises SettingsError when no state can be written there."""
    if path.is_dir():
        raise SettingsError(f"--state: {path} is a folder; it should be a file")
    folder.prepare("--state", path.parent)


def write(path: Path, state: State) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    unfinished.replace(path)


def read(path: Path) -> State | None:
    """The state, or None when there is no such file (any more)."""
    try:
        return decoder(State).decode(path.read_bytes())
    except FileNotFoundError:
        return None
