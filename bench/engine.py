"""The engine against the limit of the hardware: bytes to labels, images a second.

The limit is a bare loop of Pillow, numpy and ONNX Runtime, one thread a core; the engine is what a worker runs: a
batcher for as many callers as there are slots, and the best labels. Both keep the cores busy with the same pictures in
interleaved rounds, and must name the same label for each. Prints medians by CPU time, which a busy machine disturbs
least, and by the clock.
"""

import argparse
import io
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from app_aws import cpu, memory, registry
from app_aws.batcher import Batcher
from app_aws.engine import OnnxEngine, open_session, top
from app_aws.install import Description, add
from app_aws.manifest import Input

SHARED = Path(__file__).parents[2] / "shared"
ROUNDS, IMAGES, PASSES, SLOTS_PER_CORE = 7, 120, 4, 4
"""``PASSES``: of a round over the images, so that its end, when not all cores have work any longer, is a small part."""
MODELS = {
    "mobilenet_v2_1.0_224_fp32": {"mean": (127.5,), "std": (127.5,)},
    "squeezenet1.1_fp32_dyn": {"mean": (104, 117, 123), "colour": "BGR"},
}
SIZE = 500, 375


class Cost(NamedTuple):
    """Of one image, in milliseconds."""

    cpu: float
    wall: float


def limit(folder: Path, wanted: Input, cores: int) -> Callable[[Sequence[bytes]], list[int]]:
    """A loop with nothing in it that is not needed: decode, scale, normalise, run."""
    session = open_session((folder / registry.NETWORK).read_bytes())
    pool = ThreadPoolExecutor(cores)

    def one(data: bytes) -> int:
        image = Image.open(io.BytesIO(data))
        size = wanted.width, wanted.height
        scale = min(image.size) / wanted.scaled_side
        left, top = ((side - length * scale) / 2 for side, length in zip(image.size, size, strict=True))
        box = (left, top, image.width - left, image.height - top) if wanted.resize == "crop" else None
        whole = image if image.mode == "RGB" else image.convert("RGB")  # which copies what is RGB already
        small = whole.resize(size, Image.Resampling.BILINEAR, box=box)
        values = np.asarray(small)[:, :, :: 1 if wanted.colour == "RGB" else -1].transpose(2, 0, 1)
        values = np.ascontiguousarray(values).astype(np.float32)  # in one step it takes twice as long
        values -= np.asarray(wanted.mean, np.float32).reshape(3, 1, 1)
        values /= np.asarray(wanted.std, np.float32).reshape(3, 1, 1)
        return int(session.run(None, {wanted.name: values[None]})[0].argmax())

    return lambda images: list(pool.map(one, images))


def engine(loaded: OnnxEngine, cores: int, size: int, wait: float) -> Callable[[Sequence[bytes]], list[int]]:
    """As ``service`` wires it, without queues and buckets."""
    batcher = Batcher(loaded.infer, size, wait, threads=cores)
    batcher.start()
    pool = ThreadPoolExecutor(SLOTS_PER_CORE * cores)
    numbers = {label: number for number, label in reversed(list(enumerate(loaded.labels)))}

    def one(data: bytes) -> int:
        return numbers[top(batcher.submit(lambda: loaded.prepare(data)).result(), loaded.labels, 5)[0].label]

    return lambda images: list(pool.map(one, images))


def timed(work: Callable[[Sequence[bytes]], list[int]], images: Sequence[bytes]) -> tuple[Cost, list[int]]:
    began, spent = time.perf_counter(), _cpu()
    found = work(images)
    each = 1000 / len(images)
    return Cost((_cpu() - spent) * each, (time.perf_counter() - began) * each), found


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def compare(folder: Path, images: Sequence[bytes], size: int, wait: float) -> None:
    cores = cpu.cores()
    loaded = registry.load(folder)
    ways = {"limit": limit(folder, loaded.manifest.input, cores), "engine": engine(loaded, cores, size, wait)}
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    labels: dict[str, list[int]] = {}
    for work in ways.values():
        work(images[: 4 * cores])
    for turn in range(ROUNDS):
        for name in sorted(ways, reverse=bool(turn % 2)):
            cost, labels[name] = timed(ways[name], list(images) * PASSES)
            costs[name].append(cost)
    same = sum(one == other for one, other in zip(*labels.values(), strict=True)) / PASSES
    print(
        f"{loaded.manifest.id}: {len(images)} images {PASSES} times, {cores} cores, {ROUNDS} rounds; "
        f"same label for {same:g}"
    )
    for name in ways:
        used, wall = (statistics.median(cost[kind] for cost in costs[name]) for kind in (0, 1))
        print(f"  {name:8} {used:7.2f} ms of CPU an image: {1000 * cores / used:6.1f}/s; clock {1000 / wall:6.1f}/s")
    for kind, unit in enumerate(Cost._fields):
        pairs = zip(costs["limit"], costs["engine"], strict=True)
        ratio = statistics.median(bare[kind] / ours[kind] for bare, ours in pairs)
        print(f"  engine's speed as a share of the limit's, by {unit}: {ratio:.3f}")


def photographs(folder: Path | None, quality: int = 90) -> list[bytes]:
    """JPEGs of ``SIZE`` from the folder's photographs, or drawn ones where there is none."""
    paths = (
        [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".bmp"}]
        if folder
        else []
    )
    whole = [Image.open(path).convert("RGB").resize(SIZE) for path in paths[:IMAGES]]
    whole = whole or [
        Image.effect_mandelbrot(SIZE, (-2, -1.2, 1, 0.9 + turn / 9), 90).convert("RGB") for turn in range(9)
    ]
    files = []
    for image in whole:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality)
        files.append(out.getvalue())
    return [files[number % len(files)] for number in range(IMAGES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, action="append", help="a model folder; may be given several times")
    parser.add_argument("--images", type=Path, help="a folder of photographs")
    parser.add_argument("--batch", type=int, default=1, help="most images in one call (%(default)s)")
    parser.add_argument("--wait", type=float, default=2.0, help="most milliseconds that a batch waits (%(default)s)")
    args = parser.parse_args()
    memory.keep(arenas=cpu.cores())
    cpu.undisturbed()
    there = SHARED / "images"
    images = photographs(args.images or (there if there.is_dir() else None))
    with tempfile.TemporaryDirectory() as scratch:
        folders = args.model or [registry.BUNDLED / "cifar10", *others(Path(scratch))]
        for folder in folders:
            compare(folder, images, args.batch, args.wait)


def others(scratch: Path) -> list[Path]:
    """The larger models that lie beside the checkout, installed for the moment."""
    found, labels = [], SHARED / "models" / "imagenet1k_labels.txt"
    for name, options in MODELS.items():
        network = SHARED / "models" / f"{name}.onnx"
        if network.is_file():
            described: Any = Description(labels=labels, **options)  # type: ignore[arg-type]
            found.append(scratch / add(str(network), scratch, description=described).id)
    return found


if __name__ == "__main__":
    sys.exit(main())
