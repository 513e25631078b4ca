"""``skylens models verify`` and ``quantize``: how often a model is right, and an 8-bit form of it that is as good."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app_aws import install, labelled, quantise, registry, verify
from app_aws import manifest as manifests
from app_aws.engine import OnnxEngine
from app_aws.labelled import Picture
from app_aws.manifest import Manifest, Quantised
from app_aws.verify import Answers, Report
from skylens.errors import ModelError

_IMAGES = """\
IMAGES is a folder with one folder of images per label, or a .tsv or .csv list with a file and its label on each line.
A label is written as in labels.txt, or as its index, counted from 0.
"""
_VERIFY = (
    f"Runs a model on labelled images and prints how often it is right and what it mistakes for what.\n\n{_IMAGES}"
)
_QUANTIZE = f"""\
Makes a new version of a model that computes with 8-bit numbers: faster, and a little less accurate. It is measured on
labelled images, both before and after, and installed only when it loses less than --accept-loss and is faster here.

{_IMAGES}
Without --checked-on one image in four is for calibration and the others are for the check; with it all IMAGES are for
calibration and need no labels.
"""
_SHOWN = 5


def add(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verifying = actions.add_parser(
        "verify",
        help="measure how often a model is right",
        description=_VERIFY,
        epilog="example:\n  skylens models verify mobilenet_v2 ./photographs --limit 1000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _common(verifying)
    verifying.add_argument("--limit", type=count, metavar="N", help="at most so many images, of all labels alike")
    verifying.add_argument("--json", action="store_true", help="print JSON instead of tables")
    small = actions.add_parser(
        "quantize",
        help="make a faster 8-bit version of a model, if it is as good",
        description=_QUANTIZE,
        epilog="example:\n  skylens models quantize mobilenet_v2 ./photographs",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _common(small)
    small.add_argument("--checked-on", type=Path, metavar="IMAGES", help="labelled images for the check alone")
    small.add_argument(
        "--accept-loss",
        type=points,
        default=1.0,
        metavar="POINTS",
        help="percentage points of accuracy that must not be lost (default: 1)",
    )
    small.add_argument("--version", default="", help="of the new model (default: the old one's and -int8)")
    small.add_argument(
        "--method",
        choices=quantise.METHODS,
        help="full: every layer; mixed: delicate ones stay float32 (default: full, and mixed if that loses too much)",
    )


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="name, name@version, or path of a model folder")
    parser.add_argument("images", type=Path, metavar="IMAGES", help="labelled images")


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, not {text!r}")
    return int(text)


def points(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:  # noqa: PLR2004 - per cent
        raise argparse.ArgumentTypeError(f"expected a number of points above 0, at most 100, not {text!r}")
    return value


def run_verify(args: argparse.Namespace, models_dir: Path) -> int:
    """Measure and print; the exit status. Raises ModelError when the model or the images are wrong."""
    engine = registry.load(registry.find(args.model, models_dir))
    pictures = labelled.read(args.images, engine.labels)
    if args.limit:
        pictures = pictures[:: -(-len(pictures) // args.limit)][: args.limit]
    found = verify.report(engine, _ask(engine, pictures, "recognising"))
    if args.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
    else:
        _show(found)
    return 0


def _ask(engine: OnnxEngine, pictures: Sequence[Picture], doing: str) -> Answers:
    with _progress(doing, len(pictures)) as step:
        return verify.ask(engine, pictures, step)


@contextmanager
def _progress(doing: str, total: int | None) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda: bar.advance(task)


def _show(found: Report) -> None:
    print(
        f"{found.model}: right for {found.top1:.2%} of {found.images} images, among the first five for {found.top5:.2%}"
    )
    print(f"{found.images_per_cpu_second:g} images per second of one core, from file to label")
    if found.confusions:
        table = Table("it is", "taken for", "images", title="most frequent mistakes", title_justify="left")
        for one in found.confusions:
            table.add_row(one.truth, one.answer, str(one.count))
        Console().print(table)
    if found.unreadable:
        print(f"{len(found.unreadable)} files were left out:")
        for path, reason in list(found.unreadable.items())[:_SHOWN]:
            print(f"  {path}: {reason}")
        if len(found.unreadable) > _SHOWN:
            print(f"  and {len(found.unreadable) - _SHOWN} more (--json names all)")


def run_quantize(args: argparse.Namespace, models_dir: Path) -> int:
    """Make, check and install an 8-bit version; the exit status. Raises ModelError when it loses too much."""
    folder = registry.find(args.model, models_dir)
    engine, source = registry.load(folder), (folder / registry.NETWORK).read_bytes()
    old = engine.manifest
    if old.quantised:
        raise ModelError(f"{old.id} is a quantised model already, made from {old.quantised.source}")
    version = args.version or f"{old.version}-int8"
    if (models_dir / f"{old.name}@{version}").exists():
        raise ModelError(f"{old.name}@{version} is installed already; choose another one with --version")
    calibration, check = _images(args, engine)
    before = _ask(engine, check, f"checking {old.id}")
    images = list(quantise.prepared(engine, calibration))
    if not images:
        raise ModelError(f"none of the {len(calibration)} images of {args.images} can be read")
    for method in [args.method] if args.method else quantise.METHODS:
        with _progress(f"quantising by {method}", None):
            network = quantise.quantise(source, old.input.name, images, method)
        candidate = registry.assemble(msgspec.structs.replace(old, version=version), engine.labels, network)
        after = _ask(candidate, check, f"checking {old.name}@{version}")
        lost, margin = quantise.loss(before, after)
        slow, fast = quantise.speed_up(engine, candidate, images[0])
        print(
            f"{method}: calibrated on {len(images)} images, right for {after.top1:.2%} of {len(after.truth)} images,"
            f" {before.top1:.2%} before; {lost:.2f} points lost (+-{margin:.2f});"
            f" {slow:.2f} ms of one core an image before, {fast:.2f} ms now: {slow / max(fast, 1e-9):.2f} times as fast"
        )
        if lost < args.accept_loss and fast < slow:
            break
    else:
        raise ModelError(
            f"no 8-bit form of {old.id} is faster and loses less than {args.accept_loss:g} points;"
            " nothing was installed"
        )
    checked = Quantised(
        source=old.id,
        method=f"static, QDQ, per channel, 7-bit weights, {method}",
        images=len(after.truth),
        before=round(before.top1, 6),
        after=round(after.top1, 6),
        accepted_loss=args.accept_loss,
    )
    made = quantise.manifest(old, network, version, checked)
    _install(made, engine.labels, network, models_dir)
    print(f"Added {made.id} to {models_dir / made.id}. Use it with SKYLENS_MODEL={made.id}")
    return 0


def _images(args: argparse.Namespace, engine: OnnxEngine) -> tuple[list[Picture], list[Picture]]:
    """Images to calibrate on, and others to check on."""
    pictures = labelled.read(args.images, engine.labels)
    if args.checked_on:
        check = labelled.read(args.checked_on, engine.labels)
    else:
        pictures, check = quantise.split(pictures)
    if len(check) < quantise.LEAST:
        raise ModelError(f"{len(check)} images are too few to check on; at least {quantise.LEAST}, better a thousand")
    return pictures, check


def _install(made: Manifest, labels: Sequence[str], network: bytes, models_dir: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / registry.NETWORK).write_bytes(network)
        (folder / registry.LABELS).write_text("\n".join(labels) + "\n", "utf-8")
        (folder / manifests.FILE).write_text(manifests.to_toml(made), "utf-8")
        install.add(str(folder), models_dir)
