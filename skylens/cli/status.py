"""``skylens status``: the queue, the fleet and the demand of a running service."""

import argparse
import sys
import threading

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from skylens.cli import endpoint
from skylens.client import Client, Fleet, Status, connect, printable
from skylens.errors import SkylensError

WATCH_SECONDS = 1.0
RECENT = 10
"""Whole seconds that a rate is taken over."""
BARS = " ▁▂▃▄▅▆▇█"
EPILOG = """\
examples:
  skylens status                            the local service, once
  skylens status --watch                    drawn anew every second until Ctrl-C
  skylens status --json --url https://sky.example | jq .demand.outstanding

exit status: 0 the service answered, 1 it did not, 2 wrong usage
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    endpoint.add(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object, with --watch one a line and second")
    parser.add_argument("--watch", action="store_true", help="go on until Ctrl-C, through failures")


def run(args: argparse.Namespace) -> int:
    console = Console(highlight=False)
    with connect(args.url, endpoint.key(args), connections=1) as http:
        client = Client(http)
        if args.watch:
            return _watch(client, console, as_json=args.json)
        try:
            status = client.status()
        except SkylensError as error:
            print(f"skylens status: {error.detail}", file=sys.stderr)
            return 1
        if args.json:
            print(msgspec.json.encode(status).decode())
        else:
            console.print(view(status))
    return 0


def _watch(client: Client, console: Console, *, as_json: bool) -> int:
    """Until Ctrl-C, which is the way to leave and no failure."""
    pause = threading.Event().wait
    try:
        if as_json:
            while True:
                print(_line(client), flush=True)
                pause(WATCH_SECONDS)
        with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
            while True:
                live.update(_look(client), refresh=True)
                pause(WATCH_SECONDS)
    except KeyboardInterrupt:
        return 0


def _line(client: Client) -> str:
    try:
        return msgspec.json.encode(client.status()).decode()
    except SkylensError as error:
        return msgspec.json.encode({"error": error.detail}).decode()


def _look(client: Client) -> RenderableType:
    try:
        return view(client.status())
    except SkylensError as error:
        return Text(error.detail, style="red")


def view(status: Status) -> RenderableType:
    """A status for a person's eyes."""
    demand, facts = status.demand, Table.grid(padding=(0, 2))
    facts.add_row("node", Text(printable(status.node)))
    facts.add_row(
        "demand",
        f"{demand.outstanding} waiting, the oldest for {demand.oldest:.1f} s; "
        f"{rate(demand.arrivals):.1f}/s in, {rate(demand.completions):.1f}/s out; "
        f"a new image waits about {status.predicted_wait:.1f} s",
    )
    facts.add_row("arrivals", f"{spark(demand.arrivals[-60:])} last minute")
    if status.queue is None:
        facts.add_row("queue", "cannot be counted now")
    else:
        facts.add_row("queue", f"{status.queue.visible} visible, {status.queue.in_flight} in flight")
    if status.fleet is None:
        facts.add_row("fleet", "no autoscaler has reported")
        return facts
    age = "" if status.fleet_age is None else f" ({status.fleet_age:.0f} s ago)"
    fleet = status.fleet
    facts.add_row(
        "fleet",
        Text(
            f"instances {len(fleet.workers)}, wanted {fleet.desired}, allowed {fleet.minimum} to {fleet.maximum}; "
            f"a boot takes about {fleet.boot_seconds:.0f} s\n{printable(fleet.policy)}: {printable(fleet.reason)}{age}"
        ),
    )
    return Group(facts, _workers(fleet)) if fleet.workers else facts


def _workers(fleet: Fleet) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("instance", "state"):
        table.add_column(heading)
    for heading in ("age s", "in flight", "done"):
        table.add_column(heading, justify="right")
    for one in fleet.workers:
        name, state = Text(printable(one.instance)), Text(printable(one.state))
        table.add_row(name, state, f"{one.age:,.0f}", str(one.in_flight), str(one.done))
    return table


def rate(buckets: tuple[int, ...]) -> float:
    """Per second over the last whole seconds; the last bucket is unfinished and left out."""
    recent = buckets[-RECENT - 1 : -1]
    return sum(recent) / len(recent) if recent else 0.0


def spark(buckets: tuple[int, ...]) -> str:
    """One character a bucket, as high as its share of the largest."""
    largest = max(buckets, default=0) or 1
    return "".join(BARS[-(-count * (len(BARS) - 1) // largest)] for count in buckets)
