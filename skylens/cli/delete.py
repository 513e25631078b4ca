"""``skylens delete``: images and their results, for ever."""

import argparse
import sys

from skylens.cli import endpoint
from skylens.client import Client, connect, printable
from skylens.errors import SkylensError

TIMEOUT = 60.0
"""Seconds for each job."""
EPILOG = """\
examples:
  skylens delete 0198f5b2-7a31-7c1e-9d0f-3b6a5c4d2e1f
  skylens classify samples/ --format ndjson | jq -r .result.id | xargs skylens delete

A deleted job answers 410 from then on, on every web node within seconds. Deleting one again is no error.

exit status: 0 all are deleted, 1 not all of them, 2 wrong usage
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    endpoint.add(parser)
    parser.add_argument("jobs", nargs="+", metavar="ID", help="the id of a job, as in its result")


def run(args: argparse.Namespace) -> int:
    status = 0
    with connect(args.url, endpoint.key(args), connections=1) as http:
        client = Client(http, timeout=TIMEOUT)
        for job in args.jobs:
            try:
                client.delete(job)
            except SkylensError as error:
                print(f"{printable(job)}: {error.detail}", file=sys.stderr)
                status = 1
            else:
                print(f"{job}: deleted")
    return status
