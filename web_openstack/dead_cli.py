"""``skylens dead``: the requests that no worker survived, for the operator to look at, try again or put away."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from skylens.aws import Aws
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.client import printable
from skylens.clock import Clock
from skylens.errors import MessageError, SkylensError, UnavailableError
from skylens.messages import Request, read
from skylens.queues import SqsQueues
from skylens.settings import WebSettings, load
from skylens.store import S3Store
from web_openstack.dead_records import DeadRecords
from web_openstack.deadletters import DeadLetter

_DESCRIPTION = """\
Requests that no worker survived. Their clients were told so; a record of each stays in the deployment's state bucket.
Settings come from SKYLENS_* variables, rights from the usual AWS credentials.
"""
_EPILOG = """\
examples:
  skylens dead list                         all of them, the oldest first
  skylens dead show default/0198...         one, with its message
  skylens dead retry default/0198...        queue it again, to be worked alone; its client finds the answer by its id
  skylens dead retry --all                  after the cause is gone, such as a model that failed
  skylens dead drop --all                   put the records away; images and answers go as they always do

exit status: 0 done, 1 not for all that were named, 2 wrong usage, or the cloud is out of reach
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    listing = actions.add_parser("list", help="list them")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    showing = actions.add_parser("show", help="show one, with its message")
    showing.add_argument("letters", nargs=1, metavar="TENANT/ID")
    for name, said in (("retry", "queue them again"), ("drop", "delete their records")):
        action = actions.add_parser(name, help=said)
        which = action.add_mutually_exclusive_group(required=True)
        which.add_argument("letters", nargs="*", default=[], metavar="TENANT/ID")
        which.add_argument("--all", action="store_true")


def run(args: argparse.Namespace) -> int:
    settings = load(WebSettings)
    aws = Aws(settings.region)
    s3, queues = aws.s3(), SqsQueues(aws.sqs(), aws.sqs_polling())
    try:
        records = DeadRecords(
            S3Store(s3, settings.bucket("state")),
            S3Store(s3, settings.bucket("input")),
            S3Store(s3, settings.bucket("output")),
            queues.named(settings.queue("requests")),
            Clock(),
            settings.retention_hours * 3600,
        )
        return COMMANDS[args.action](records, args)
    except AWS_ERRORS as error:
        raise UnavailableError(f"deployment {settings.deployment} cannot be reached: {explain(error)}") from error


def show_all(records: DeadRecords, args: argparse.Namespace) -> int:
    found = sorted(records.all(), key=lambda pair: pair[1].at)
    if args.json:
        for name, letter in found:
            print(msgspec.json.encode({"letter": name, "at": _time(letter.at), "reason": letter.reason}).decode())
        return 0
    if not found:
        print("There are none.")
        return 0
    table = Table()
    for title in ("letter", "set aside", "file", "reason"):
        table.add_column(title, overflow="fold")
    for name, letter in found:
        cells = name, _time(letter.at), _file(letter), letter.reason
        table.add_row(*[Text(printable(cell)) for cell in cells])
    Console(highlight=False).print(table)
    return 0


def show(records: DeadRecords, args: argparse.Namespace) -> int:
    """Raises UnknownJobError."""
    letter = records.get(args.letters[0])
    print(f"set aside  {_time(letter.at)}\nreason     {printable(letter.reason)}")
    try:
        request = read(Request, letter.body)
    except MessageError:
        print(f"message    {letter.body!r}")
        return 0
    for field, value in msgspec.to_builtins(request).items():
        shown = f"{len(request.data):,} bytes" if field == "data" else printable(str(value))
        print(f"{field:10} {shown}")
    return 0


def retry(records: DeadRecords, args: argparse.Namespace) -> int:
    return _each(records, args, records.retry, "queued again")


def drop(records: DeadRecords, args: argparse.Namespace) -> int:
    return _each(records, args, records.drop, "dropped")


def _each(records: DeadRecords, args: argparse.Namespace, act: Callable[[str], None], done: str) -> int:
    names: Sequence[str] = [name for name, _ in records.all()] if args.all else args.letters
    status = 0
    for name in names:
        try:
            act(name)
        except SkylensError as error:
            print(f"{printable(name)}: {error.detail}", file=sys.stderr)
            status = 1
        else:
            print(f"{printable(name)}: {done}")
    return status


def _file(letter: DeadLetter) -> str:
    try:
        return read(Request, letter.body).name
    except MessageError:
        return ""


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


COMMANDS: dict[str, Callable[[DeadRecords, argparse.Namespace], int]] = {
    "list": show_all,
    "show": show,
    "retry": retry,
    "drop": drop,
}
