"""``skylens classify``: send images to a running service and show what is in them."""

import argparse
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from skylens.cli import endpoint, journal
from skylens.cli.files import find
from skylens.cli.report import FORMATS, Delivery, Outcome, Report
from skylens.cli.spread import spread
from skylens.client import Client, connect, printable
from skylens.errors import BadRequestError, ForbiddenError, SkylensError, UnauthorisedError
from skylens.messages import Failure

NOTICE_SECONDS = 10.0
"""Least time between two lines about images that have to wait."""
INTERRUPTED = 130
EPILOG = """\
examples:
  skylens classify cat.jpg                                     one image, by the local service
  skylens classify holiday/ --format csv --out labels.csv      every image below a folder
  skylens classify big/ --url https://sky.example --key-file key.txt --jobs 32

A run that was interrupted goes on where it stopped when the same command is given again.
exit status: 0 every image was recognised, 1 some were not, 2 wrong usage, 130 interrupted
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE|FOLDER", help="images, or folders of images")
    endpoint.add(parser)
    parser.add_argument("--top", type=_number(1, 100), default=5, help="labels per image (default: %(default)s)")
    parser.add_argument("--format", choices=FORMATS, default="table", help="of the results (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the results there, not to standard output")
    parser.add_argument("--jobs", type=_number(1, 256), default=8, help="images sent at once (default: %(default)s)")
    parser.add_argument(
        "--timeout", type=_number(1), default=600, metavar="SECONDS", help="most per image (default: %(default)s)"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="ask for every image anew, even those recognised by an earlier run"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing but the results and the failures")


def _number(least: int, most: int = 86_400) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return number


def run(args: argparse.Namespace) -> int:
    files, key = find(args.files), endpoint.key(args)
    where = journal.place(args.url, args.top, args.files)
    console, stop = Console(stderr=True, highlight=False, quiet=args.quiet), threading.Event()
    with (
        journal.opened(where, fresh=args.fresh) as kept,
        connect(args.url, key, connections=args.jobs) as http,
        _output(args.out) as out,
    ):
        client = Client(
            http,
            timeout=args.timeout,
            top=args.top,
            salt=uuid.uuid4().hex if args.fresh else "",
            pause=stop.wait,
            notice=Notices(console),
        )
        try:
            failed = _recognise(args, files, client, kept, console, FORMATS[args.format](out))
        except KeyboardInterrupt:
            console.print("Stopped. What was recognised is kept: give the same command again to go on.")
            return INTERRUPTED
        except BrokenPipeError:  # such as "| head": nobody reads on, which is no failure of any image
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        finally:
            stop.set()
        if not failed:
            kept.remove()
    return 1 if failed else 0


def _recognise(
    args: argparse.Namespace,
    files: Sequence[Path],
    client: Client,
    kept: journal.Journal,
    console: Console,
    report: Report,
) -> int:
    """Recognise what the journal lacks and report everything; how many failed."""
    todo = [path for path in files if not kept.holds(path)]
    if len(todo) < len(files):
        console.print(f"{len(files) - len(todo)} of {len(files)} were recognised by an earlier run; passing them over.")
    failed, missing = 0, set(todo)
    with closing(report), _progress(console, args) as bar:
        task = bar.add_task("", total=len(todo))
        delivery = Delivery(files, kept, report)
        for path in files:
            if path not in missing:
                delivery.add(path, None)
        with closing(spread(todo, lambda path: _send(client, path), args.jobs)) as answers:
            for seen, outcome in answers:
                if outcome.result is not None and seen is not None:
                    kept.add(outcome.path, seen, outcome.result)
                if outcome.failure is not None:
                    failed += 1
                    print(f"{printable(outcome.path)}: {outcome.failure.detail}", file=sys.stderr)
                delivery.add(outcome.path, outcome.failure)
                bar.advance(task)
    console.print(f"{len(files) - failed} recognised, {failed} failed.")
    return failed


def _send(client: Client, path: Path) -> tuple[journal.Stamp | None, Outcome]:
    """Recognise one file; its stamp is taken first, so one that changes meanwhile is sent again by the next run."""
    try:
        seen = journal.stamp(path)
        return seen, Outcome(path, client.classify(path))
    except (UnauthorisedError, ForbiddenError) as error:
        raise type(error)(f"{error.detail} (--key-file, or {endpoint.KEY_VARIABLE})") from None
    except SkylensError as error:
        return None, Outcome(path, failure=Failure.of(error))
    except OSError as error:
        return None, Outcome(path, failure=Failure(code="unreadable", detail=error.strerror or str(error)))


class Notices:
    """Tells a person why images wait, at most one line in ten seconds however many threads say so."""

    def __init__(self, console: Console) -> None:
        self._console, self._lock, self._next = console, threading.Lock(), 0.0

    def __call__(self, sentence: str) -> None:
        with self._lock:
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + NOTICE_SECONDS
        self._console.print(sentence, markup=False, soft_wrap=True)


class Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


def _progress(console: Console, args: argparse.Namespace) -> Progress:
    """A bar on a terminal's standard error, unless the results are passing by there as well."""
    passing_by = args.out is None and args.format != "table" and sys.stdout.isatty()
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal or console.quiet or passing_by,
        redirect_stdout=False,
    )


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Where the results go. Raises BadRequestError when that cannot be written."""
    if path is None:
        yield sys.stdout
        return
    try:
        out = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise BadRequestError(f"--out {path}: {error.strerror}") from None
    with out:
        yield out
