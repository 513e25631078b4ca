"""``skylens models``: list the installed models, or add one. The other actions have modules of their own."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from app_aws import install, models_bucket, models_checks, models_tune, registry
from skylens.settings import WorkerSettings, load

_ADD = """\
Adds a model: a folder of model.onnx, labels.txt and model.toml; such a folder as .tar.gz or .zip; or a bare .onnx
file, which the options below describe. Each may be a path or an https URL; a URL needs --sha256. Everything about
the model is checked, and it is run once, before it is installed.
"""
_EXAMPLES = """\
examples:
  skylens models add ./my-model
  skylens models add https://example.org/model.tar.gz --sha256 9f86d08...
  skylens models add mobilenet_v2.onnx --name mobilenet --labels imagenet.txt --mean 127.5 --std 127.5
  skylens models add squeezenet.onnx --labels imagenet.txt --colour BGR --mean 104,117,123
then:
  skylens up --model mobilenet        on this machine; SKYLENS_MODEL=mobilenet for a worker
"""


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="show every model and where it lies", description="Shows every model.")
    listing.add_argument("--json", action="store_true", help="print JSON instead of a table")
    listing.add_argument("--bucket", action="store_true", help="those in the deployment's bucket instead")
    adding = actions.add_parser(
        "add",
        help="check a model and install it",
        description=_ADD,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    adding.add_argument("source", help="folder, .tar.gz, .zip or .onnx; a path or an https URL")
    adding.add_argument("--sha256", default="", metavar="HEX", help="SHA-256 that the file must have")
    adding.add_argument("--replace", action="store_true", help="take the place of the same name and version")
    _describe(adding.add_argument_group("what a bare .onnx does not say of itself"))
    models_checks.add(actions)
    models_tune.add(actions)
    models_bucket.add(actions)


def _describe(group: "argparse._ArgumentGroup") -> None:
    usual = install.Description()
    group.add_argument("--labels", type=Path, metavar="FILE", help="one label a line, in the order of the scores")
    group.add_argument("--name", default="", help="name to install it under (default: the file's)")
    group.add_argument(
        "--size", type=int, metavar="N", help="pixels of width and height, where the model leaves it open"
    )
    group.add_argument(
        "--mean",
        type=_values,
        default=usual.mean,
        metavar="A[,B,C]",
        help="subtracted from the 0-255 values, in the order of --colour (default: 0)",
    )
    group.add_argument("--std", type=_values, default=usual.std, metavar="A[,B,C]", help="then divided by (default: 1)")
    group.add_argument("--colour", choices=("RGB", "BGR"), default=usual.colour, help="default: RGB")
    group.add_argument("--layout", choices=("NCHW", "NHWC"), help="default: as the model's input shape says")
    group.add_argument("--resize", choices=("squash", "crop"), default=usual.resize, help="default: crop")
    group.add_argument("--softmax", action="store_true", help="the scores are logits")
    group.add_argument("--licence", default=usual.licence, metavar="TEXT", help="of the weights (default: unknown)")


def _values(text: str) -> tuple[float, ...]:
    """One number, or three with commas between."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in {1, 3}:
        raise argparse.ArgumentTypeError(f"expected one number or three, as in 104,117,123, not {text!r}")
    return values


def run(args: argparse.Namespace) -> int:
    """List or add; the exit status. Raises SkylensError saying why a model was not added."""
    models_dir = registry.models_dir(load(WorkerSettings).models_dir)
    if args.action == "list" and args.bucket:
        return models_bucket.listing(args, models_dir)
    if args.action == "list":
        return _list(registry.entries(models_dir), as_json=args.json)
    return _ACTIONS[args.action](args, models_dir)


def _add(args: argparse.Namespace, models_dir: Path) -> int:
    description = install.Description(
        labels=args.labels,
        name=args.name,
        size=args.size,
        mean=args.mean,
        std=args.std,
        colour=args.colour,
        layout=args.layout,
        resize=args.resize,
        softmax=args.softmax,
        licence=args.licence,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("downloading", total=None, visible=False)
        added = install.add(
            args.source,
            models_dir,
            sha256=args.sha256,
            description=description,
            replace=args.replace,
            progress=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
        )
    print(f"Added {added.id} to {models_dir / added.id}. Use it with SKYLENS_MODEL={added.name}")
    return 0


def _list(entries: list[registry.Entry], *, as_json: bool) -> int:
    if as_json:
        json.dump([_fields(entry) for entry in entries], sys.stdout, indent=2)
        print()
        return 0
    table = Table()
    for title in ("model", "input", "accuracy", "licence", "folder"):
        table.add_column(title, overflow="fold")
    for entry in entries:
        found = entry.manifest
        if found is None:
            table.add_row(entry.folder.name, "", Text(entry.problem, "red"), "", str(entry.folder))
            continue
        size = f"{found.input.width} x {found.input.height}"
        table.add_row(found.id, size, found.accuracy or "-", found.licence, str(entry.folder))
    Console().print(table)
    return 0


def _fields(entry: registry.Entry) -> dict[str, object]:
    found = entry.manifest
    if found is None:
        return {"folder": str(entry.folder), "problem": entry.problem}
    return {
        "name": found.name,
        "version": found.version,
        "description": found.description,
        "licence": found.licence,
        "source": found.source,
        "accuracy": found.accuracy,
        "quantised_from": found.quantised.source if found.quantised else None,
        "width": found.input.width,
        "height": found.input.height,
        "folder": str(entry.folder),
    }


_ACTIONS: dict[str, Callable[[argparse.Namespace, Path], int]] = {
    "add": _add,
    "verify": models_checks.run_verify,
    "quantize": models_checks.run_quantize,
    "tune": models_tune.run,
    **models_bucket.COMMANDS,
}
