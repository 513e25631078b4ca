"""What recognises: one small interface, and its ONNX Runtime form.

``prepare`` costs CPU per image and raises what its client is to be told; ``infer`` costs CPU per batch and raises only
on our own faults. Both may be called from any thread.
"""

import math
import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app_aws import decode
from app_aws.manifest import Manifest
from skylens.errors import ModelError
from skylens.messages import Label, Model

Array = NDArray[np.float32]
_SLACK = 1e-3
"""How far outside 0-1 rounding may push a probability."""


class Engine(Protocol):
    """A loaded model."""

    @property
    def model(self) -> Model: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    def prepare(self, data: bytes) -> Array:
        """One image as the tensor the model takes. Raises SkylensError when it cannot be decoded."""
        ...

    def infer(self, batch: Sequence[Array]) -> Array:
        """Probabilities of prepared images: images x labels."""
        ...


def top(probabilities: Array, labels: Sequence[str], count: int) -> tuple[Label, ...]:
    """The ``count`` (at least one) most probable labels, best first. Raises ValueError when a score is not a number."""
    if not math.isfinite(probabilities.sum()):  # nor is a sum, where one of them is not
        raise ValueError("the model gave scores that are not numbers")
    best = (-probabilities).argsort(kind="stable")[: max(count, 1)].tolist()
    return tuple(Label(label=labels[index], score=round(float(probabilities[index]), 6)) for index in best)


def open_session(data: bytes, threads: int = 1) -> Any:
    """An ONNX Runtime session that uses ``threads`` cores per call, does not spin and keeps no arena of memory.

    Raises ModelError when the bytes are no model that this release can run.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when it is imported; it would report to its maker otherwise
    import onnxruntime  # noqa: PLC0415 - 40 ms and 50 MB that listing models does not need

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise ModelError(f"model.onnx cannot be loaded: {str(error)[:300]}") from error


class OnnxEngine:
    """One session shared by all threads."""

    def __init__(self, manifest: Manifest, labels: tuple[str, ...], session: Any, *, max_pixels: int) -> None:
        """Checks that session, manifest and labels agree and runs the model once, which also warms it up."""
        self.manifest, self.labels, self._session, self._max_pixels = manifest, labels, session, max_pixels
        self.model = Model(name=manifest.name, version=manifest.version)
        self._one_by_one = _batch_dimension(manifest, session) == 1
        self._try_once()

    def prepare(self, data: bytes) -> Array:
        return decode.tensor(decode.pixels(data, self.manifest.input, self._max_pixels), self.manifest.input)

    def infer(self, batch: Sequence[Array]) -> Array:
        if self._one_by_one:
            return np.concatenate([self._run(image[None]) for image in batch])
        return self._run(batch[0][None] if len(batch) == 1 else np.stack(batch))

    def _run(self, images: Array) -> Array:
        found = self._session.run([self.manifest.output.name], {self.manifest.input.name: images})[0]
        scores: Array = np.asarray(found, np.float32).reshape(len(images), -1)
        return _softmax(scores) if self.manifest.output.activation == "softmax" else scores

    def _try_once(self) -> None:
        black = np.zeros(self.manifest.input.shape, np.float32)
        try:
            scores, two = self.infer([black]), self.infer([black, black])
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelError(f"the model fails on a black image: {str(error)[:300]}") from error
        if two.size != 2 * scores.size:
            raise ModelError(f"the model gives {scores.size} scores for one image, but {two.size} for two at once")
        if scores.shape != (1, len(self.labels)):
            raise ModelError(f"labels.txt has {len(self.labels)} labels, but the model gives {scores.size} scores")
        if not ((scores >= -_SLACK) & (scores <= 1 + _SLACK)).all():
            raise ModelError(
                'the scores are not probabilities; output.activation = "softmax" (--softmax) makes them so'
            )


def _softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _batch_dimension(manifest: Manifest, session: Any) -> object:
    """The session's first input dimension: 1, or a name. Raises ModelError where session and manifest disagree."""
    wanted = manifest.input
    tensor = _named(session.get_inputs(), wanted.name, "input")
    if len(session.get_inputs()) > 1:
        raise ModelError(f"the model has {len(session.get_inputs())} inputs; only models of one are taken")
    if tensor.type != "tensor(float)":
        raise ModelError(f"input {wanted.name} is a {tensor.type}; only tensor(float) is taken")
    batch, *shape = tensor.shape or [None]
    fixed = zip(shape, wanted.shape, strict=False)
    if len(shape) != len(wanted.shape) or any(isinstance(real, int) and real != told for real, told in fixed):
        raise ModelError(f"input {wanted.name} is of shape {shape}, but model.toml says {list(wanted.shape)}")
    if isinstance(batch, int) and batch != 1:
        raise ModelError(f"input {wanted.name} takes exactly {batch} images; the batch must be free or 1")
    _named(session.get_outputs(), manifest.output.name, "output")
    return batch


def _named(tensors: Sequence[Any], name: str, kind: str) -> Any:
    for tensor in tensors:
        if tensor.name == name:
            return tensor
    raise ModelError(f"{kind}.name = {name!r}: the model has {', '.join(repr(tensor.name) for tensor in tensors)}")
