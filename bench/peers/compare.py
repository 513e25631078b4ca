"""The comparison: systems in turn, round after round, one table for each model."""

import argparse
import itertools
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from engine import SHARED, Cost, engine, limit, others, photographs, timed
from serving import DEPLOYMENT, INLINE, Emulators, World, worker_cost

from app_aws import registry
from peers import install, table
from peers.catalogue import SYSTEMS
from peers.install import MissingError
from peers.measure import Meter, Turn, middle
from peers.system import Job, System
from skylens.local.tiers import Options

Way = Callable[[Sequence[bytes]], list[int]]
CORES = 2
"""For server, load and what is beside, whatever the machine has: the peers' settings are for two."""


def describe(folder: Path, scratch: Path) -> Path:
    """The JSON file about a model that ``recognise`` reads."""
    loaded = registry.load(folder)
    wanted = loaded.manifest.input
    if wanted.layout != "NCHW":
        sys.exit(f"{folder}: the comparison is made for models of layout NCHW")
    about = {
        "network": str((folder / registry.NETWORK).resolve()),
        "labels": loaded.labels,
        "width": wanted.width,
        "height": wanted.height,
        "crop": wanted.resize == "crop",
        "side": wanted.scaled_side,
        "colour": wanted.colour,
        "mean": wanted.mean,
        "std": wanted.std,
    }
    file = scratch / f"{loaded.manifest.id}.json"
    file.write_text(json.dumps(about), "utf-8")
    return file


def compare(folder: Path, images: Sequence[bytes], systems: Mapping[str, System], rounds: int, seconds: float) -> None:
    """Print a model's table."""
    loaded = registry.load(folder)
    ways = {"the loop alone": limit(folder, loaded.manifest.input, CORES), "our engine": engine(loaded, CORES, 2, 2.0)}
    bare = ways["the loop alone"]
    labels = registry.read_labels(folder / registry.LABELS)
    turns: dict[str, list[Turn]] = {name: [] for name in systems}
    missing: dict[str, str] = {}
    costs: dict[str, list[Cost]] = {}
    with tempfile.TemporaryDirectory() as name:
        job = Job(folder, describe(folder, Path(name)), images, [labels[number] for number in bare(images)])
        meter = Meter(job, seconds, Path(name))
        for turn in range(rounds):
            for part, cost in _parts(folder, ways, images, Path(name)):
                costs.setdefault(part, []).append(cost)
            for system in sorted(systems, reverse=bool(turn % 2)):
                if system not in missing:
                    _say(f"{folder.name}, round {turn + 1} of {rounds}: {system}")
                    _measure(meter, systems[system], turns[system], missing)
    parts = {
        part: table.Bare(statistics.median(one.cpu for one in some), 1000 / statistics.median(one.wall for one in some))
        for part, some in costs.items()
    }
    found = {name: middle(some) for name, some in turns.items() if some and name not in missing}
    size = statistics.median(map(len, images)) / 1024
    title = f"{folder.name}: JPEG files of {size:.0f} KiB, {CORES} cores, {rounds} rounds of {seconds:g} s, medians"
    table.show(title, parts, systems, found, missing)


def _parts(folder: Path, ways: Mapping[str, Way], images: Sequence[bytes], scratch: Path) -> Iterator[tuple[str, Cost]]:
    """What parts of ours cost by themselves: without a server, and a worker between full queues and buckets."""
    for name, way in ways.items():
        yield name, timed(way, images)[0]
    for kind in INLINE:
        _say(f"{folder.name}: our worker, {kind}")
        with Emulators(Options(deployment=DEPLOYMENT, web_nodes=0), logs=scratch) as cloud:
            yield f"our worker, {kind}", worker_cost(World(cloud, folder, scratch), images, kind)


def _measure(meter: Meter, system: System, turns: list[Turn], missing: dict[str, str]) -> None:
    try:
        system.install()
        turns.append(meter.turn(system))
    except MissingError as error:
        missing[system.name] = str(error)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _list(systems: Iterable[System]) -> None:
    for system in systems:
        known = (install.HERE / f"{system.name}.txt").is_file()
        print(f"{system.name:14} {', '.join(install.pins(system.name)) if known else 'this checkout'}")


def main(about: str | None) -> None:
    names = [system.name for system in SYSTEMS]
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the systems and what each installs")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help="may be given several times")
    parser.add_argument("--model", type=Path, action="append", help="a model folder; may be given several times")
    parser.add_argument("--images", type=Path, help="a folder of photographs")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load for each number of clients (%(default)g)")
    args = parser.parse_args()
    systems = {system.name: system for system in SYSTEMS if system.name in (args.only or names)}
    if args.list:
        _list(systems.values())
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda sign, _: sys.exit(128 + sign))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    there = SHARED / "images"
    images = photographs(args.images or (there if there.is_dir() else None), quality=75)
    small = [one for one in images if len(one) <= INLINE["fast"]]
    images = list(itertools.islice(itertools.cycle(small or images), len(images)))
    with tempfile.TemporaryDirectory() as scratch:
        for folder in args.model or [registry.BUNDLED / "cifar10", *others(Path(scratch))]:
            compare(folder, images, systems, args.rounds, args.seconds)
