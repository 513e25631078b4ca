"""What every peer has to serve: from bytes to a label, the arithmetic of ``limit`` in ``bench/engine.py``.

Imported by each peer's server in its own environment, where there is no Skylens. What the model wants is in the JSON
file that the variable PEERS_MODEL names; ``describe`` in ``compare`` writes it.
"""

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when it is imported

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]


class Recogniser:
    """One session of one thread. Its options are those of Skylens's own sessions."""

    def __init__(self) -> None:
        about = json.loads(Path(os.environ["PEERS_MODEL"]).read_text("utf-8"))
        self._size, self._crop, self._labels = (about["width"], about["height"]), about["crop"], about["labels"]
        self._side, self._step = about["side"], 1 if about["colour"] == "RGB" else -1
        self._mean, self._std = (np.asarray(about[key], np.float32).reshape(3, 1, 1) for key in ("mean", "std"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(about["network"], options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0]

    def prepare(self, data: bytes) -> Array:
        """A JPEG file as the tensor of one image."""
        return self.tensor(Image.open(io.BytesIO(data)))

    def tensor(self, image: Image.Image) -> Array:
        scale = min(image.size) / self._side
        left, top = ((side - length * scale) / 2 for side, length in zip(image.size, self._size, strict=True))
        box = (left, top, image.width - left, image.height - top) if self._crop else None
        whole = image if image.mode == "RGB" else image.convert("RGB")
        small = whole.resize(self._size, Image.Resampling.BILINEAR, box=box)
        values = np.ascontiguousarray(np.asarray(small)[:, :, :: self._step].transpose(2, 0, 1)).astype(np.float32)
        values -= self._mean
        values /= self._std
        return values

    def infer(self, batch: Sequence[Array]) -> list[str]:
        """The best label of each; in one call where the model takes more than one image."""
        calls = [np.stack(batch)] if self._input.shape[0] != 1 else [image[None] for image in batch]
        best = [self._session.run(None, {self._input.name: images})[0] for images in calls]
        return [self._labels[int(scores.argmax())] for images in best for scores in images]
