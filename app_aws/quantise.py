"""Makes a network of 8-bit numbers out of one of float32, and finds out whether it is as good.

Static quantisation in ONNX Runtime's QDQ form: weights per channel in 7 bits (``reduce_range``: in 8 they overflow on
processors without VNNI, which costs 7 to 12 points there), activations by their least and greatest values over the
calibration images. ONNX Runtime's other ways to find ranges, by histograms, took minutes and gave nothing here.
Method: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
(arXiv:1712.05877).
"""

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from app_aws import registry
from app_aws.engine import Array, Engine
from app_aws.labelled import Picture
from app_aws.manifest import Manifest, Quantised
from app_aws.verify import Answers
from skylens.errors import ModelError, SkylensError

METHODS = ("full", "mixed")
"""``full``: every layer; ``mixed``: the first convolution and the depthwise ones stay float32. They have few weights
and are where MobileNets lose: MobileNet V2 lost 2.6 points by ``full`` and 0.9 by ``mixed``."""
LEAST = 100
"""Labelled images below which a difference of one point cannot be seen at all."""
_CALIBRATION = 300
"""Most images that ranges are taken from; more change little and take minutes."""
_PART = 4
"""Of a labelled folder, each so-many-th image is for calibration, the others for the check."""
_ROUNDS = 15


def split(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Images to calibrate on and others to check on, the same ones each time, of every label alike."""
    first = [one for number, one in enumerate(pictures) if number % _PART == 0]
    return first, [one for number, one in enumerate(pictures) if number % _PART]


def prepared(engine: Engine, pictures: Sequence[Picture]) -> Iterator[Array]:
    """The tensors of at most ``_CALIBRATION`` of these, spread evenly; unreadable ones are passed over."""
    for one in pictures[:: -(-len(pictures) // _CALIBRATION)]:
        try:
            yield engine.prepare(one.path.read_bytes())
        except (OSError, SkylensError):
            continue


def quantise(network: bytes, name: str, images: Sequence[Array], method: str) -> bytes:
    """The network with 8-bit weights and activations. ``name``: its input; ``method``: one of ``METHODS``.

    Raises ModelError when it cannot be made, or the tools for it are not installed.
    """
    quantization, shapes = _tools()
    with tempfile.TemporaryDirectory() as scratch:
        plain, folded, small = (Path(scratch) / part for part in ("plain.onnx", "folded.onnx", "small.onnx"))
        plain.write_bytes(network)
        try:
            shapes.quant_pre_process(str(plain), str(folded), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(folded),
                str(small),
                _reader(quantization, name, images),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=_delicate(folded) if method == "mixed" else [],
            )
            made = small.read_bytes()
        except Exception as error:  # onnx's and onnxruntime's errors share no base class
            raise ModelError(f"the network cannot be quantised by {method}: {str(error)[:300]}") from error
    if not registry.is_quantised(made):
        raise ModelError(f"the network has no layer that can be quantised by {method}")
    return made


def _tools() -> tuple[Any, Any]:
    try:
        from onnxruntime import quantization  # noqa: PLC0415 - needs the package onnx, which only this command does
        from onnxruntime.quantization import shape_inference  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ModelError(f"this needs the package onnx: pip install 'skylens[quantize]' ({error})") from error
    return quantization, shape_inference


def _delicate(path: Path) -> list[str]:
    """Names of the first convolution and of each that works on groups of channels; nodes without a name get one."""
    import onnx  # noqa: PLC0415 - as above

    network = onnx.load(path)
    for number, node in enumerate(network.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    onnx.save(network, path)
    found = [node for node in network.graph.node if node.op_type == "Conv"]
    return [node.name for node in found if node is found[0] or _groups(node) > 1]


def _groups(node: Any) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "group"), 1)


def _reader(quantization: Any, name: str, images: Sequence[Array]) -> Any:
    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._images = iter(images)

        def get_next(self) -> dict[str, Array] | None:
            image = next(self._images, None)
            return None if image is None else {name: image[None]}

    return Reader()


def manifest(of: Manifest, network: bytes, version: str, checked: Quantised) -> Manifest:
    """The new version's manifest. Raises ModelError when so much is lost that it must not be used."""
    return msgspec.structs.replace(
        of,
        version=version,
        sha256=hashlib.sha256(network).hexdigest(),
        accuracy=f"{checked.after:.4f} of {checked.images} images, {checked.before:.4f} before it was quantised",
        quantised=checked,
    )


def loss(before: Answers, after: Answers) -> tuple[float, float]:
    """Percentage points of top-1 lost on the same images, and the half width of its 95 % interval.

    The images are the same, so only those count whose answer turned right or wrong (McNemar): with b lost and c won
    of n, the difference (b - c) / n has the variance (b + c - (b - c)^2 / n) / n^2.
    """
    count = len(before.truth)
    lost, won = int((before.right & ~after.right).sum()), int((~before.right & after.right).sum())
    variance = (lost + won - (lost - won) ** 2 / count) / count**2
    return (lost - won) / count * 100, float(1.96 * np.sqrt(variance) * 100)


def speed_up(
    old: Engine, new: Engine, image: Array, cpu: Callable[[], float] = time.process_time
) -> tuple[float, float]:
    """CPU milliseconds that one image takes each: medians of runs that take turns, so that a busy machine hits both."""
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for engine, times in zip((old, new), spent, strict=True):
            began = cpu()
            for _ in range(3):
                engine.infer([image])
            times.append((cpu() - began) / 3 * 1000)
    return statistics.median(spent[0]), statistics.median(spent[1])
