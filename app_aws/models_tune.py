"""``skylens models tune``: measures how a model is best run on this machine and keeps that beside it."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app_aws import cpu, manifest, registry, tuning
from skylens.clock import Clock

_LEAST, _MOST = 0.1, 600
_TUNE = """\
Measures how many calls of the model at once, how many threads each and how many images a call are fastest here, and
keeps that in the model's folder. Workers on machines of this kind use it from their next start. Run it on an instance
of the type that will work, while nothing else runs: when its image is baked, for one.
"""


def add(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    tuning_parser = actions.add_parser("tune", help="measure how a model is best run here", description=_TUNE)
    tuning_parser.add_argument("model", help="name, name@version or folder")
    tuning_parser.add_argument(
        "--seconds", type=_seconds, default=6.0, metavar="S", help="to measure for (default: %(default)s)"
    )


def _seconds(text: str) -> float:
    """A time to measure for: long enough to mean something, and not for ever."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not _LEAST <= value <= _MOST:
        raise argparse.ArgumentTypeError(f"expected seconds from {_LEAST} to {_MOST}, not {text!r}")
    return value


def run(args: argparse.Namespace, models_dir: Path) -> int:
    """Measure, keep and show; the exit status. Raises ModelError when there is no such model."""
    folder, cores = registry.find(args.model, models_dir), cpu.cores()
    shape = manifest.read(folder).input.shape
    measured = tuning.measure(
        lambda threads: registry.load(folder, threads=threads).infer, shape, cores, args.seconds, Clock()
    )
    wanted = tuning.own_key(folder, cores)
    table = Table()
    for title in ("calls at once", "threads a call", "images a call", "images a second"):
        table.add_column(title, justify="right")
    for choice, rate in measured.rates:
        style = "bold" if choice == measured.choice else ""
        table.add_row(str(choice.calls), str(choice.threads), str(choice.batch), f"{rate:.1f}", style=style)
    console = Console()
    console.print(wanted, soft_wrap=True)
    console.print(table)
    if tuning.keep(folder, wanted, measured):
        console.print(f"Kept in {folder / tuning.FILE}.", soft_wrap=True)
    else:
        console.print(f"{folder} cannot be written to: workers here keep to a call for each core.", soft_wrap=True)
    return 0
