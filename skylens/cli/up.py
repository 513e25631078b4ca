"""``skylens up``: the whole of Skylens on this machine, with an embedded cloud in place of both providers."""

import argparse
import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, get_args

from rich.console import Console

from skylens.errors import SkylensError
from skylens.local import narrator
from skylens.local.cloud import LocalCloud
from skylens.local.interrupts import Interrupts
from skylens.local.probe import StoppedError
from skylens.local.sample import Sample, Seen, picture
from skylens.local.tiers import Options, parse
from skylens.settings import PREFIX, ScalerSettings

_N = TypeVar("_N", int, float)
POLICIES = get_args(ScalerSettings.model_fields["policy"].annotation)
FLEETS = get_args(ScalerSettings.model_fields["fleet"].annotation)

DESCRIPTION = """\
Run all of Skylens on this machine: AWS emulators (S3, SQS, EC2), the web tier with its page, the autoscaler, and for
each EC2 instance that the autoscaler launches a real worker process. Every tier runs the code that it runs in
production. Nothing reaches a real AWS account, nothing listens beyond this machine, and nothing is left behind.

A sample picture is sent through the public API, then the autoscaler's decisions are shown as it takes them.
Ctrl-C drains and stops everything; Ctrl-C again stops at once.
"""
EPILOG = """\
examples:
  skylens up                                   the page is at http://127.0.0.1:8080
  skylens up --port 8081 --max 2 --boot 0.5    two instances at most, each booting in half a second
  skylens up --fleet alarms                    CloudWatch's alarms size the fleet, in their own time
  skylens up --set web.rate_limit=5/second     any setting of a tier: web, worker, scaler, or all
  skylens up --keep-logs logs                  keep every process's log in ./logs

SKYLENS_* and AWS_* variables of your own have no effect here. How this differs from AWS: docs/local-cloud.md.
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    option = parser.add_argument
    option("--port", type=_between(int, 0, 65535), default=8080, help="port of the page and the API; 0: any free one")
    option("--max", type=_between(int, 1, 64), default=4, metavar="N", help="most instances (default: 4)")
    option("--boot", type=SECONDS, default=2.0, metavar="SECONDS", help="how long an instance boots (default: 2)")
    option("--idle", type=SECONDS, default=3.0, metavar="SECONDS", help="how long a spare instance stays (default: 3)")
    option("--fleet", default="ec2", choices=FLEETS, help="what is sized; with alarms AWS does it (default: ec2)")
    option("--policy", default="foresight", choices=POLICIES, help="how the fleet is sized (default: foresight)")
    option("--model", default="cifar10", help="an installed model or a model folder (default: cifar10)")
    option("--web", type=_between(int, 1, 8), default=1, metavar="N", help="web nodes; all but the first on free ports")
    option("--set", action="append", default=[], metavar="TIER.NAME=VALUE", help="a setting of a tier; repeatable")
    option("--keep-logs", type=Path, metavar="DIR", help="write the log of every process there and keep it")
    option("--state", type=Path, metavar="FILE", help="keep addresses and process ids there as JSON while running")
    option("--no-sample", action="store_true", help="send no sample picture")


def run(args: argparse.Namespace) -> int:
    if not (importlib.util.find_spec("ministack") and importlib.util.find_spec("moto")):
        raise SkylensError("the AWS emulators are not installed; run: pip install 'skylens[local]'")
    show = Show(Console(highlight=False, soft_wrap=True))
    ignored = sorted(name for name in os.environ if name.startswith(PREFIX))
    if ignored:
        show.line(f"of no effect here, use --set: {', '.join(ignored)}")
    with Interrupts() as interrupts:
        try:
            _run(args, show, interrupts)
        except StoppedError:
            show.line("stopped before everything had started")
    kept = f"; logs are in {args.keep_logs}" if args.keep_logs else ""
    show.line(f"Everything is stopped and no temporary file is left{kept}.")
    return 0


def _run(args: argparse.Namespace, show: "Show", interrupts: Interrupts) -> None:
    began = time.monotonic()
    cloud = LocalCloud(
        _options(args),
        say=show.event,
        step=show.step,
        stopping=interrupts.asked,
        logs=args.keep_logs,
        state_file=args.state and args.state.absolute(),
    )
    with cloud:
        show.line(f"Skylens is up after {time.monotonic() - began:.1f} s: {cloud.url}/", "bold green")
        session = Session(cloud, show, sample=not args.no_sample)

        def done() -> bool:
            session.look()
            return interrupts.asked() > 0

        cloud.run_until(done)
        show.line("Stopping: no new images, those in work are finished. Ctrl-C again stops at once.")


def _options(args: argparse.Namespace) -> Options:
    return Options(
        port=args.port,
        web_nodes=args.web,
        maximum=args.max,
        boot_seconds=args.boot,
        idle_seconds=args.idle,
        fleet=args.fleet,
        policy=args.policy,
        model=_checked(args.model),
        settings=parse(args.set),
    )


def _checked(model: str) -> str:
    """The model's folder. Raises ModelError for one that no worker could load, before there is a fleet of such."""
    from app_aws import registry

    folder = registry.find(model, registry.models_dir(""))
    registry.load(folder)
    return str(folder.resolve())


class Show:
    """Lines for a person, a moving sign beside the current step on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, markup=False)

    def event(self, text: str) -> None:
        """Something that happened just now."""
        self.line(f"{time.strftime('%H:%M:%S')} {text}")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A step with the seconds that it took."""
        began = time.monotonic()
        with self._console.status(name):
            yield
        self.line(f"  {time.monotonic() - began:4.1f} s  {name}")


class Session:
    """What is told while the cloud runs: the sample's result, what to try next, the autoscaler's decisions."""

    def __init__(self, cloud: LocalCloud, show: Show, *, sample: bool) -> None:
        self._cloud, self._show = cloud, show
        self._decisions = narrator.LogLines(cloud.log("scaler"))
        self._picture = picture(cloud.folder.path)
        self._sample = Sample(cloud.url, self._picture) if sample else None
        if sample:
            show.line(f"Sending {self._picture.name}; the fleet is empty, so an instance has to boot first ...")
        else:
            self._advise()

    def look(self) -> None:
        """Tell what is new; called by the supervising loop."""
        for record in self._decisions.new():
            if told := narrator.sentence(record):
                self._show.line(told)
        if self._sample and self._sample.outcome:
            self._tell(self._sample.outcome)
            self._sample = None

    def _tell(self, outcome: Seen | SkylensError) -> None:
        if isinstance(outcome, Seen):
            for line in outcome.lines():
                self._show.line(line, "bold")
        else:
            self._show.line(f"the sample picture failed: {outcome.detail}", "bold red")
        self._advise()

    def _advise(self) -> None:
        url, file = self._cloud.url, self._picture
        self._show.line(f"""\
Try next:
  open {url}/ and drop pictures on the page
  curl -F file=@{file} {url}/
  skylens classify {file} --url {url}
  skylens status --url {url}
Ctrl-C stops everything.""")


def _between(kind: Callable[[str], _N], least: _N, most: _N) -> Callable[[str], _N]:
    """A type of argument: a number from ``least`` to ``most``."""

    def number(text: str) -> _N:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least} to {most}")
        return value

    return number


SECONDS = _between(float, 0.0, 3600.0)
