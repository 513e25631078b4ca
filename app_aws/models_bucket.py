"""``skylens models push``, ``activate``, ``rollback`` and ``active``: which version a deployment uses."""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path

import msgspec

from app_aws import registry
from app_aws.bucket import BucketRegistry
from skylens import active
from skylens.active import Active
from skylens.aws import Aws
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.clock import Clock
from skylens.errors import UnavailableError
from skylens.settings import WorkerSettings, load
from skylens.store import S3Store, Store

_ACTIVATE = """\
Tells every worker of the deployment to use a version that was pushed. Each goes over to it within
SKYLENS_MODEL_SECONDS, without losing an image; a worker on which it fails goes on with the version that it has.
"""
_EXAMPLES = """\
examples:
  skylens models push mobilenet_v2@2
  skylens models activate mobilenet_v2@2 --canary 0.05     for one request in twenty; compare the metrics
  skylens models activate mobilenet_v2@2                   for all of them
  skylens models rollback                                  ends a canary, or goes back to the version before
"""
_Command = Callable[[argparse.Namespace, Path, Store, Clock], int]
Run = Callable[[argparse.Namespace, Path], int]


def add(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    pushing = actions.add_parser(
        "push",
        help="put a model into the deployment's bucket",
        description="Puts a model into the deployment's bucket.",
    )
    pushing.add_argument("model", metavar="MODEL", help="name, name@version, or path of a model folder")
    activating = actions.add_parser(
        "activate",
        help="let the deployment use a model that was pushed",
        description=_ACTIVATE,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    activating.add_argument("model", metavar="NAME@VERSION")
    activating.add_argument("--canary", type=share, metavar="SHARE", help="for this share of the requests, as in 0.05")
    actions.add_parser(
        "rollback",
        help="end a canary, or go back to the version before",
        description="Ends the canary if there is one, else goes back to the version before.",
    )
    showing = actions.add_parser(
        "active",
        help="show which model is active",
        description="Shows the active model, since when it is, and the canary.",
    )
    showing.add_argument("--json", action="store_true", help="print JSON")


def share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0 and below 1, as in 0.05, not {text!r}")
    return value


def state() -> Store:
    """The state bucket that the environment's settings name."""
    settings = load(WorkerSettings)
    return S3Store(Aws(settings.region).s3(), settings.bucket("state"))


def reaching(command: _Command) -> Run:
    """The command on the real bucket; AWS's errors as one line."""

    @wraps(command)
    def run(args: argparse.Namespace, models_dir: Path) -> int:
        try:
            return command(args, models_dir, state(), Clock())
        except AWS_ERRORS as error:
            raise UnavailableError(f"the state bucket cannot be reached: {explain(error)}") from error

    return run


def push(args: argparse.Namespace, models_dir: Path, store: Store, clock: Clock) -> int:
    del clock
    pushed = BucketRegistry(store).push(registry.find(args.model, models_dir))
    print(f"{pushed.id} is in the bucket. Use it with: skylens models activate {pushed.id}")
    return 0


def activate(args: argparse.Namespace, models_dir: Path, store: Store, clock: Clock) -> int:
    """Raises ModelError, before anything has changed, when that version is not whole or cannot be put to work."""
    del models_dir
    BucketRegistry(store).fetched(args.model)
    before, etag = active.read(store)
    if args.canary:
        after = active.tried(before, args.model, args.canary, clock.now())
    else:
        after = active.activated(before, args.model, clock.now())
    active.write(store, after, etag)
    print(_told(after))
    return 0


def rollback(args: argparse.Namespace, models_dir: Path, store: Store, clock: Clock) -> int:
    del args, models_dir
    before, etag = active.read(store)
    after = active.rolled_back(before, clock.now())
    BucketRegistry(store).manifest(after.model)
    active.write(store, after, etag)
    print(_told(after))
    return 0


def show(args: argparse.Namespace, models_dir: Path, store: Store, clock: Clock) -> int:
    del models_dir, clock
    found, _ = active.read(store)
    if args.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
    else:
        print(_told(found) if found else "Nothing was ever activated: each worker uses its SKYLENS_MODEL.")
    return 0


def _list(args: argparse.Namespace, models_dir: Path, store: Store, clock: Clock) -> int:
    del models_dir, clock
    found, (now, _) = sorted(BucketRegistry(store).models()), active.read(store)
    if args.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
        return 0
    marks = {now.model: "active", now.previous: "before"} if now else {}
    if now and now.canary:
        marks[now.canary.model] = "canary"
    for model_id in found:
        print(f"{model_id:40} {marks.get(model_id, '')}".rstrip())
    return 0


def _told(found: Active) -> str:
    since = datetime.fromtimestamp(found.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [f"active    {found.model}, as decided at {since}"]
    if found.canary:
        lines.append(f"canary    {found.canary.model}, for {found.canary.share:.2%} of the requests")
    if found.previous:
        lines.append(f"before    {found.previous}")
    return "\n".join(lines)


COMMANDS: dict[str, Run] = {
    "push": reaching(push),
    "activate": reaching(activate),
    "rollback": reaching(rollback),
    "active": reaching(show),
}
listing = reaching(_list)
