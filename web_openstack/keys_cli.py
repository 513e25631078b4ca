"""``skylens keys``: makes, lists, revokes and rotates API keys, and limits tenants, in the keys file."""

import argparse
import os
import pwd
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from skylens.errors import SettingsError
from web_openstack import keys_file
from web_openstack.callers import SCOPES
from web_openstack.keyring import RATE, TENANT, Entry, Keyring, Limits
from web_openstack.keys import make

VARIABLE = "SKYLENS_KEYS_FILE"
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DESCRIPTION = """\
The API keys of a web tier, in a file that holds their SHA-256 and never a key. Web processes see a change within a
second, without a restart. The file is replaced as a whole, and keeps who did what when (`skylens keys history`).

scopes: submit (send images), read (ask for answers), delete (delete images), operate (status and metrics)
"""
_EPILOG = """\
examples:
  skylens keys --file keys.json add acme > acme.key            to submit and read; the key goes to standard output, once
  skylens keys add acme --scope read --expires 90d --note "the dashboard"
  skylens keys add ops --scope operate                         for a scraper of /metrics
  skylens keys list
  skylens keys rotate 5f0c2a91 --overlap 7d > acme.key         a new key like it; the old one is good for 7 more days
  skylens keys revoke 5f0c2a91                                 refused from now on
  skylens keys limit acme --rate 100/second --outstanding 500 --per-day 100000

exit status: 0 done, 2 wrong usage, or the file cannot be read or written
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.add_argument(
        "--file", type=Path, metavar="FILE", help=f"the keys file; else the variable {VARIABLE} names it"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    adding = actions.add_parser("add", help="make a key; makes the file, too, if there is none")
    adding.add_argument("tenant", type=tenant, metavar="TENANT")
    adding.add_argument("--scope", action="append", choices=SCOPES, help="may be repeated (default: submit and read)")
    adding.add_argument(
        "--expires", type=duration, metavar="TIME", help="from now, such as 12h, 90d, 52w (default: never)"
    )
    adding.add_argument("--note", default="", help="what the key is for")
    listing = actions.add_parser("list", help="list the keys and limits; never shows a secret")
    listing.add_argument("--json", action="store_true", help="one JSON object a line for each key")
    revoking = actions.add_parser("revoke", help="refuse a key from now on")
    revoking.add_argument("id", metavar="ID")
    rotating = actions.add_parser("rotate", help="make a key with the same rights, and let the old one expire")
    rotating.add_argument("id", metavar="ID")
    rotating.add_argument(
        "--overlap", type=duration, metavar="TIME", required=True, help="how long the old one is good"
    )
    rotating.add_argument(
        "--expires", type=duration, metavar="TIME", help="of the new one (default: lives as long as the old)"
    )
    limiting = actions.add_parser("limit", help="limit a tenant at each web node; without options, show its limits")
    limiting.add_argument("tenant", type=tenant, metavar="TENANT")
    limiting.add_argument(
        "--rate", type=rate, help="images per time, such as 100/second; none: SKYLENS_RATE_LIMIT counts"
    )
    limiting.add_argument("--outstanding", type=number, metavar="N", help="most unanswered images; 0: no limit")
    limiting.add_argument("--per-day", type=number, metavar="N", help="most images a day (UTC); 0: no limit")
    actions.add_parser("history", help="who did what to the file, and when")


def tenant(text: str) -> str:
    if not re.fullmatch(TENANT, text):
        raise argparse.ArgumentTypeError(f"{text!r} is no tenant: up to 63 of a-z, 0-9 and -, no - at the beginning")
    return text


LONGEST = timedelta(days=36_500)


def duration(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9]\d{0,5})([smhdw])", text, re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: a number and one of s, m, h, d, w, such as 90d")
    found = timedelta(**{UNITS[match[2]]: int(match[1])})
    if found > LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is more than a century")
    return found


def rate(text: str) -> str:
    if text != "none" and not re.fullmatch(RATE, text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no rate, such as 100/second (or minute, hour, day), or none")
    return text.removeprefix("none")


def number(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of images")
    return int(text)


def run(args: argparse.Namespace) -> int:
    path = args.file or os.environ.get(VARIABLE)
    if not path:
        raise SettingsError(f"which keys file? Name it with --file, or in {VARIABLE}")
    now = datetime.fromtimestamp(int(time.time()), UTC)
    desk = Desk(Path(path), now, pwd.getpwuid(os.getuid()).pw_name, secrets.token_hex)
    COMMANDS[args.action](desk, args)
    return 0


@dataclass(frozen=True)
class Desk:
    """Where keys are made. ``who``: does so; ``token``: so many random bytes in hex."""

    path: Path
    now: datetime
    who: str
    token: Callable[[int], str]

    @contextmanager
    def changing(self, *, may_begin: bool = False) -> Iterator[Callable[[Keyring, str], None]]:
        """Be the only writer; what is yielded keeps a new keyring, and what was done. ``may_begin``: without a file."""
        with self.trouble():
            if may_begin:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with keys_file.locked(self.path):
                yield lambda ring, what: keys_file.write(self.path, ring.noting(self.now, self.who, what))

    @contextmanager
    def trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SettingsError(f"keys file {self.path} cannot be written: {error.strerror}") from None

    def ring(self, *, may_begin: bool = False) -> Keyring:
        return Keyring() if may_begin and not self.path.exists() else keys_file.read(self.path)


def add_key(desk: Desk, args: argparse.Namespace) -> None:
    with desk.changing(may_begin=True) as keep:
        ring = desk.ring(may_begin=True)
        entry, key = make(
            ring,
            desk.token,
            tenant=args.tenant,
            scopes=tuple(args.scope or ("submit", "read")),
            created=desk.now,
            expires=desk.now + args.expires if args.expires else None,
            note=args.note,
        )
        keep(ring.adding(entry), f"added {said(entry)}")
    hand_over(entry, key)


def rotate(desk: Desk, args: argparse.Namespace) -> None:
    """Raises SettingsError for a key that is not valid any more."""
    with desk.changing() as keep:
        ring = desk.ring()
        old = ring.entry(args.id)
        if old.state(desk.now) != "valid":
            raise SettingsError(f"key {old.id} is {old.state(desk.now)}; make another one with `skylens keys add`")
        lives = args.expires or (old.expires - old.created if old.expires else None)
        entry, key = make(
            ring,
            desk.token,
            tenant=old.tenant,
            scopes=old.scopes,
            created=desk.now,
            expires=desk.now + lives if lives else None,
            note=old.note,
        )
        ends = min(filter(None, (old.expires, desk.now + args.overlap)))
        keep(ring.changing(old.id, expires=ends).adding(entry), f"rotated {old.id} until {ends:{TIME}}: {said(entry)}")
    print(f"Key {old.id} is good until {ends:{TIME}}.", file=sys.stderr)
    hand_over(entry, key)


def hand_over(entry: Entry, key: str) -> None:
    """The secret is written nowhere else, and the file has it not."""
    print(f"Made {said(entry)}. This is the only time that it is shown:", file=sys.stderr)
    print(key)


def revoke(desk: Desk, args: argparse.Namespace) -> None:
    with desk.changing() as keep:
        ring = desk.ring()
        if ring.entry(args.id).revoked is None:
            keep(ring.changing(args.id, revoked=desk.now), f"revoked {args.id}")
    print(f"Key {args.id} is refused.")


def limit(desk: Desk, args: argparse.Namespace) -> None:
    given = {name: getattr(args, name) for name in ("rate", "outstanding", "per_day")}
    wanted = {name: value for name, value in given.items() if value is not None}
    if not wanted:
        print(f"{args.tenant}: {limits_said(desk.ring().limits.get(args.tenant, Limits()))}")
        return
    with desk.changing() as keep:
        ring = desk.ring()
        limits = msgspec.structs.replace(ring.limits.get(args.tenant, Limits()), **wanted)
        keep(ring.limiting(args.tenant, limits), f"limited {args.tenant}: {limits_said(limits)}")
    print(f"{args.tenant}: {limits_said(limits)}")


def show(desk: Desk, args: argparse.Namespace) -> None:
    ring = desk.ring()
    entries = sorted(ring.keys, key=lambda entry: (entry.tenant, entry.created))
    if args.json:
        for entry in entries:
            fields = {name: value for name, value in msgspec.to_builtins(entry).items() if name != "sha256"}
            print(msgspec.json.encode(fields | {"state": entry.state(desk.now)}).decode())
        return
    table = Table()
    for title in ("id", "tenant", "scopes", "created", "expires", "state", "note"):
        table.add_column(title, overflow="fold")
    for entry in entries:
        times = f"{entry.created:{TIME}}", f"{entry.expires:{TIME}}" if entry.expires else "never"
        cells = (entry.id, entry.tenant, " ".join(entry.scopes), *times, entry.state(desk.now), entry.note)
        table.add_row(*map(Text, cells))
    Console(highlight=False).print(table)
    for name, limits in sorted(ring.limits.items()):
        print(f"{name}: {limits_said(limits)}")


def show_history(desk: Desk, args: argparse.Namespace) -> None:
    del args
    for act in desk.ring().history:
        print(f"{act.at:{TIME}}  {act.who}  {act.what}")


TIME = "%Y-%m-%d %H:%M UTC"


def said(entry: Entry) -> str:
    until = f"expires {entry.expires:{TIME}}" if entry.expires else "never expires"
    return f"key {entry.id} of tenant {entry.tenant}: {', '.join(entry.scopes)}; {until}"


def limits_said(limits: Limits) -> str:
    parts = [
        f"at most {limits.rate}" if limits.rate else "",
        f"at most {limits.outstanding} outstanding" if limits.outstanding else "",
        f"at most {limits.per_day} a day" if limits.per_day else "",
    ]
    return ", ".join(filter(None, parts)) or "no limits of its own"


COMMANDS: dict[str, Callable[[Desk, argparse.Namespace], None]] = {
    "add": add_key,
    "list": show,
    "revoke": revoke,
    "rotate": rotate,
    "limit": limit,
    "history": show_history,
}
