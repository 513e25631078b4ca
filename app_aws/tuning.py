"""How a model is best run on this kind of machine: measured once, kept beside the model.

What is chosen: how many calls of the model run at once, how many threads each uses, and how many images it takes. A
worker only reads what was measured, since measuring would keep it from work; ``skylens models tune`` measures.
"""

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np

from app_aws import manifest as manifests
from app_aws.engine import Array
from skylens.clock import Clock
from skylens.decoders import decoder

FILE = "tuning.json"
_ROUNDS = 3
_BATCHES = (1, 2, 4, 8)
_WORTH = 1.02
"""A choice that is not the safe one must be so many times as fast: less is noise."""

Infer = Callable[[Sequence[Array]], Array]


class Choice(msgspec.Struct, frozen=True):
    calls: int
    """Of the model at once."""
    threads: int
    """That each call uses."""
    batch: int
    """Most images a call."""


class Measured(msgspec.Struct, frozen=True):
    choice: Choice
    rates: tuple[tuple[Choice, float], ...]
    """Images a second of every candidate, the safe one first."""


def safe(cores: int, batch: int) -> Choice:
    """What is right nearly everywhere: a call for each core, each on one thread."""
    return Choice(cores, 1, batch)


def candidates(cores: int) -> tuple[Choice, ...]:
    """The safe one of each batch, and one call on all cores."""
    wide = [Choice(1, cores, batch) for batch in (1, _BATCHES[-1])] if cores > 1 else []
    return (*(safe(cores, batch) for batch in _BATCHES), *wide)


def key(machine: str, cores: int, sha256: str, runtime: str) -> str:
    """What a measurement holds for. ``machine``: see ``machine``; ``sha256``: of the network; ``runtime``: version."""
    return f"{machine}, {cores} cores, model {sha256[:16]}, onnxruntime {runtime}"


def own_key(folder: Path, cores: int) -> str:
    """The key of this machine and the model in ``folder``. Raises ModelError when that has no readable manifest."""
    return key(machine(), cores, manifests.read(folder).sha256, metadata.version("onnxruntime"))


def machine(root: Path = Path("/")) -> str:
    """The kind of this machine: on EC2 the firmware's product is the instance type; and its processor's name."""
    product = processor = "unknown"
    with contextlib.suppress(OSError):
        product = (root / "sys/devices/virtual/dmi/id/product_name").read_text().strip()
    with contextlib.suppress(OSError, StopIteration):
        lines = (root / "proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{product}, {processor}"


def measure(
    open_with: Callable[[int], Infer], shape: tuple[int, ...], cores: int, seconds: float, clock: Clock
) -> Measured:
    """Try every candidate in turn, several times, for ``seconds`` in all beside one batch that warms each up.

    ``open_with``: the model on so many threads a call. The machine should have nothing else to do.
    """
    tried = candidates(cores)
    models = {threads: open_with(threads) for threads in sorted({one.threads for one in tried})}
    turn = seconds / (_ROUNDS * len(tried))
    images = [np.full(shape, 0.5, np.float32) for _ in range(max(one.batch for one in tried))]
    for one in tried:
        models[one.threads](images[: one.batch])
    rates: dict[Choice, list[float]] = {one: [] for one in tried}
    for _ in range(_ROUNDS):
        for one in tried:
            rates[one].append(_rate(models[one.threads], one, images[: one.batch], turn, clock))
    found = tuple((one, round(statistics.median(rates[one]), 1)) for one in tried)
    return Measured(_best(found), found)


def _rate(infer: Infer, choice: Choice, images: Sequence[Array], seconds: float, clock: Clock) -> float:
    """Images a second."""
    began = clock.ticks()

    def work(_: int) -> int:
        done = 0
        while not done or clock.ticks() - began < seconds:
            infer(images)
            done += len(images)
        return done

    with ThreadPoolExecutor(choice.calls) as pool:
        done = sum(pool.map(work, range(choice.calls)))
    return done / max(clock.ticks() - began, 1e-9)


def _best(rates: Sequence[tuple[Choice, float]]) -> Choice:
    """The fastest; the earlier, which is the smaller batch, where it is faster by too little to be sure."""
    best, fastest = rates[0]
    for choice, rate in rates[1:]:
        if rate > fastest * _WORTH:
            best, fastest = choice, rate
    return best


def kept(folder: Path, wanted: str) -> Choice | None:
    """What was measured for this key, or None. A damaged file is none."""
    return next((measured.choice for known, measured in _all(folder) if known == wanted), None)


def keep(folder: Path, wanted: str, measured: Measured) -> bool:
    """Write it beside the model, in one step; False where that cannot be written to."""
    everything = {**dict(_all(folder)), wanted: measured}
    try:
        with tempfile.TemporaryDirectory(prefix=".tuning-", dir=folder) as scratch:
            new = Path(scratch) / FILE
            new.write_bytes(msgspec.json.format(msgspec.json.encode(everything), indent=2) + b"\n")
            new.replace(folder / FILE)
    except OSError:
        return False
    return True


def _all(folder: Path) -> Iterator[tuple[str, Measured]]:
    try:
        yield from decoder(dict[str, Measured]).decode((folder / FILE).read_bytes()).items()
    except (OSError, ValueError):
        return
