"""The ``skylens`` command. One module here per subcommand: ``add(parser)`` declares it, ``run(args)`` does it."""

import argparse
import importlib
import sys
from types import ModuleType

from skylens import __version__
from skylens.errors import SkylensError

COMMANDS = {
    "up": "run the whole system on this machine, with an embedded cloud",
    "classify": "send images to a running service and show what is in them",
    "delete": "delete images and their results for ever",
    "status": "show the queue, the fleet and the demand of a running service",
    "keys": "make, list, revoke and rotate API keys, and limit tenants",
    "dead": "list, show, retry and drop requests that no worker survived",
    "models": "list, add, verify, quantise and activate models",
    "settings": "list every setting with its default and meaning",
    "web": "run the web tier",
    "worker": "run the app tier's worker on this instance",
    "scaler": "run the autoscaler",
    "simulate": "replay a trace of requests under several scaling policies",
}
ROOMS = {
    "web": "web_openstack.main",
    "worker": "app_aws.main",
    "keys": "web_openstack.keys_cli",
    "dead": "web_openstack.dead_cli",
    "models": "app_aws.models_cli",
    "scaler": "autoscaler.main",
    "simulate": "autoscaler.simulate",
}
"""Commands that live in the room they belong to; the others lie beside this file."""


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command line; with ``only``, just that subcommand's arguments are filled in (and its module imported)."""
    made = argparse.ArgumentParser(prog="skylens", description="Image recognition as a service on a hybrid cloud.")
    made.add_argument("--version", action="version", version=f"skylens {__version__}")
    subparsers = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        sub = subparsers.add_parser(name, help=summary, description=summary.capitalize() + ".")
        if only in {name, None}:
            _module(name).add(sub)
    return made


def _module(name: str) -> ModuleType:
    return importlib.import_module(ROOMS.get(name, f"skylens.cli.{name}"))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status. A SkylensError is one line on standard error and status 2."""
    argv = sys.argv[1:] if argv is None else argv
    wanted = next((word for word in argv if word in COMMANDS), "")
    args = parser(wanted).parse_args(argv)
    try:
        return int(_module(args.command).run(args))
    except SkylensError as error:
        print(f"skylens {args.command}: {error.detail}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
