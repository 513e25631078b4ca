"""A model folder's ``model.toml``: what goes into the network and what comes out, checked when it is read."""

import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from skylens.active import Name, Version
from skylens.decoders import decoder
from skylens.errors import ModelError

FILE = "model.toml"
SHOWN = 200
"""Most characters that are shown of a wrong value, and of what is said of it."""
_IMAGENET_MARGIN = 256 / 224

Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Side = Annotated[int, Meta(ge=1, le=4096)]
_Mean = Annotated[float, Meta(ge=-1e6, le=1e6)]
_Std = Annotated[float, Meta(ge=1e-6, le=1e6)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of the tables: immutable, and a misspelt key is an error."""


class Input(_Table, frozen=True, kw_only=True):
    """The tensor that the network takes: float32, ``width`` x ``height`` pixels of three channels."""

    name: Text
    width: Side
    height: Side
    layout: Literal["NCHW", "NHWC"]
    colour: Literal["RGB", "BGR"]
    resize: Literal["squash", "crop"]
    """``squash``: to the size, whatever the shape; ``crop``: the shorter side to ``shorter_side``, then the centre."""
    mean: tuple[_Mean, _Mean, _Mean]
    """Subtracted from the 0-255 values, in the tensor's channel order."""
    std: tuple[_Std, _Std, _Std]
    """Then divided by, in the same order."""
    shorter_side: Side | None = None
    """Pixels, for ``crop`` only; by default 256/224 of the width."""

    def __post_init__(self) -> None:
        if self.resize == "squash" and self.shorter_side is not None:
            raise ValueError(f'shorter_side = {self.shorter_side} is for resize = "crop" only')
        if self.resize == "crop" and self.scaled_side < max(self.width, self.height):
            raise ValueError(
                f"shorter_side = {self.scaled_side} is less than the crop, {self.width} x {self.height};"
                f" at least {max(self.width, self.height)}"
            )

    @property
    def scaled_side(self) -> int:
        """Pixels that the shorter side is scaled to before the centre is cut out."""
        return self.shorter_side or round(self.width * _IMAGENET_MARGIN)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one prepared image, without the batch dimension."""
        return (3, self.height, self.width) if self.layout == "NCHW" else (self.height, self.width, 3)


class Output(_Table, frozen=True, kw_only=True):
    """The tensor that the network gives: one number per label."""

    name: Text
    activation: Literal["none", "softmax"]
    """What turns the numbers into probabilities; ``none`` when they already are."""


Share = Annotated[float, Meta(ge=0, le=1)]


class Quantised(_Table, frozen=True, kw_only=True, rename={"source": "from"}):
    """What ``skylens models quantize`` found out: without it, no network of 8-bit numbers is put to work."""

    source: Text
    """The model that it was made of, ``name@version``; the key is ``from``."""
    method: Text
    images: Annotated[int, Meta(ge=1)]
    """Labelled images that both were checked on."""
    before: Share
    """Share of them whose first answer is right, of the original."""
    after: Share
    accepted_loss: Annotated[float, Meta(gt=0, le=100)]
    """Percentage points that ``after`` must stay below."""

    def __post_init__(self) -> None:
        loss = (self.before - self.after) * 100
        if loss >= self.accepted_loss:
            raise ValueError(
                f"after = {self.after} loses {loss:.2f} points of before = {self.before};"
                f" accepted_loss = {self.accepted_loss:g}, so it must lose less"
            )


class Manifest(_Table, frozen=True, kw_only=True):
    name: Name
    version: Version
    description: Text
    licence: Text
    source: Text
    accuracy: Text | None = None
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    """Of ``model.onnx``, lower-case hex."""
    input: Input
    output: Output
    quantised: Quantised | None = None

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"


def read(folder: Path) -> Manifest:
    """The manifest of a model folder. Raises ModelError naming the key, its value and what would be right."""
    try:
        return parse((folder / FILE).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder / FILE} cannot be read: {error}") from error
    except ModelError as error:
        raise ModelError(f"{folder / FILE}: {error.detail}") from error


def parse(text: str) -> Manifest:
    """Read TOML as a manifest. Raises ModelError as ``read`` does."""
    try:
        return build(tomllib.loads(text))
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, numbers too long, brackets too deep
        raise ModelError(f"not TOML: {error}") from error


def build(raw: dict[str, Any]) -> Manifest:
    """The manifest of such tables. Raises ModelError as ``read`` does."""
    try:
        decoder(Manifest)
        return msgspec.convert(raw, Manifest)
    except msgspec.ValidationError as error:
        raise ModelError(_sentence(str(error), raw)) from error


def _sentence(problem: str, raw: dict[str, Any]) -> str:
    """The words of msgspec, with the key in front and its value: ``input.mean = [1, 2]: expected ...``."""
    said, _, place = problem.partition(" - at `$.")
    if not place:
        return said
    key, value = place.rstrip("`"), raw
    for part in re.findall(r"[^.\[\]]+", key):
        value = value[int(part)] if isinstance(value, list) else value[part]
    shown = "" if isinstance(value, dict) else f" = {repr(value)[:SHOWN]}"
    return f"{key}{shown}: {said[0].lower()}{said[1:SHOWN]}"


def to_toml(manifest: Manifest) -> str:
    """The manifest as text that ``parse`` reads back."""
    tables: dict[str, Any] = msgspec.to_builtins(manifest)
    nested = {key: tables.pop(key) for key in ("input", "output", "quantised") if key in tables}
    lines = [*_lines(tables)]
    for key, table in nested.items():
        lines += ["", f"[{key}]", *_lines(table)]
    return "\n".join(lines) + "\n"


def _lines(table: dict[str, Any]) -> list[str]:
    """JSON's strings, numbers and arrays are TOML's as well, but for the delete character."""
    return [
        f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f") for key, value in table.items()
    ]
