"""A stand-in for an ONNX Runtime session, and model folders to damage."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app_aws import manifest
from app_aws.registry import BUNDLED


class Tensor(NamedTuple):
    name: str
    shape: list[object]
    type: str = "tensor(float)"


@dataclass
class FakeSession:
    """Scores each image by its mean: labels get (mean, 1 - mean)."""

    inputs: list[Tensor] = field(default_factory=lambda: [Tensor("image", ["n", 3, 32, 32])])
    outputs: list[Tensor] = field(default_factory=lambda: [Tensor("probabilities", ["n", 2])])
    batches: list[int] = field(default_factory=list)

    def get_inputs(self):
        return self.inputs

    def get_outputs(self):
        return self.outputs

    def run(self, names, feeds):
        images = feeds[self.inputs[0].name]
        self.batches.append(len(images))
        means = images.reshape(len(images), -1).mean(axis=1)
        return [np.stack([means, 1 - means], axis=1)]


def bundled_manifest(**changes):
    """The bundled model's manifest with another text in places: ``activation='softmax'``."""
    text = (BUNDLED / "cifar10" / "model.toml").read_text("utf-8")
    for key, value in changes.items():
        lines = [f"{key} = {value!r}" if line.startswith(f"{key} = ") else line for line in text.splitlines()]
        text = "\n".join(lines)
    return manifest.parse(text)


def model_folder(place: Path) -> Path:
    """A copy of the bundled model."""
    return Path(shutil.copytree(BUNDLED / "cifar10", place))
