"""``skylens scaler``: the one place of this tier that reads the world and builds real clients."""

import argparse
import os
import signal
import threading
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from autoscaler import prices
from autoscaler.assembly import assemble, find_peers
from autoscaler.herald import Herald
from autoscaler.loop import Loop, Watcher
from autoscaler.metrics import Metrics
from autoscaler.nodes import WebNodes
from autoscaler.record import Recorder, check
from autoscaler.trouble import Troubles
from autoscaler.watch import Watch, showing, terminal
from skylens import logs, systemd
from skylens.aws import Aws
from skylens.clock import Clock
from skylens.errors import SettingsError
from skylens.queues import SqsQueue, SqsQueues
from skylens.settings import ScalerSettings, load
from skylens.systemd import Notifier

STOPS = {signal.SIGTERM, signal.SIGINT}
RETRY = 2.0
QUEUE_SECONDS = 2.0
"""Longest that a tick waits for SQS's counts; the lease has to outlast it."""

DESCRIPTION = """\
Size the fleet of EC2 workers to the demand that the web nodes counted. Everything is set by environment variables;
`skylens settings` lists them. One autoscaler acts at a time; others stand by and take over when it falls silent.
SIGTERM and Ctrl-C leave the fleet as it is."""

EPILOG = """\
The decision log has a line whenever the decision changes, and every 30 seconds:

  {"event": "scaler.decision", "old": 3, "desired": 25, "new": 18, "stale": [],
   "reason": "97 outstanding, 4 per instance; maximum 20 with 2 leaving", "outstanding": 97, "oldest": 4.2,
   "ready": 3, "busy": 3, "idle": 0, "pending": 0, "draining": 2, "max": 20, "boot_seconds": 31.5, ...}

old: instances working or coming up now; desired: what the policy wants; new: what the limits allow, and what is done.

With --dry-run nothing is launched, drained or terminated, no lease is taken and no worker event is read, so it may
run beside the acting autoscaler; workers then show as booting, since only their events tell busy from idle.

With --watch the terminal shows the fleet by state, the demand, the last minutes, stale sources and the last decisions,
drawn anew twice a second until Ctrl-C. With --record FILE each second that was seen is a line `timestamp,count` there,
about 2 MB a day; an autoscaler on standby records nothing.

examples:
  skylens scaler                                 act, with the log on standard output
  skylens scaler --watch --dry-run               look over the acting autoscaler's shoulder
  skylens scaler --record arrivals.csv           keep what `skylens simulate --trace arrivals.csv` replays

exit status: 0 stopped by a signal, 1 a fault (start it anew), 2 wrong usage or setting"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("--dry-run", action="store_true", help="decide and log, but launch, drain and end nothing")
    parser.add_argument("--watch", action="store_true", help="draw what it sees and decides, in place of the log")
    parser.add_argument("--log", type=Path, metavar="FILE", help="where the log goes with --watch; appended to")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append the images that arrive in each second")


def run(args: argparse.Namespace) -> int:
    """Run until stopped. 0 after a signal; 1 when the events thread died, so that the service manager starts anew."""
    clock = Clock()
    notifier = Notifier(os.environ, os.getpid(), clock)
    systemd.forget(os.environ)
    settings = load(ScalerSettings, **({"dry_run": True} if args.dry_run else {}))
    table, console = prices.of(settings), _console(args)
    if args.record:
        check(args.record)
    logs.configure(settings.log_level, settings.log_format, "scaler")
    stop = _stop_on_signals(notifier)
    log, metrics = logs.get("autoscaler"), Metrics()
    if settings.metrics_listen:
        metrics.serve(settings.metrics_listen)
    troubles, aws = Troubles(metrics), Aws(settings.region)
    peers = find_peers(settings, troubles, clock)
    notifier.status("waiting for its queues")
    queues = _find_queues(settings, SqsQueues(aws.sqs_once(QUEUE_SECONDS), aws.sqs_polling()), troubles, stop)
    if queues is None:
        return 0
    nodes = WebNodes(peers.addresses if peers else lambda: settings.web_nodes)
    parts = assemble(settings, aws, queues, table, nodes, metrics, troubles, clock, peers)
    watch, herald = Watch(settings, parts.lease, clock), Herald(notifier, parts.lease)
    watchers: list[Watcher] = [
        herald,
        *([watch] if console else []),
        *([Recorder(args.record, troubles)] if args.record else []),
    ]
    parts = parts._replace(watchers=tuple(watchers))
    log.info("scaler.started", policy=settings.policy, maximum=settings.maximum, dry_run=settings.dry_run)
    parts.listener.start()
    if peers:
        peers.start()
    with showing(watch, console, args.log) if console else nullcontext():
        Loop(parts, settings, clock).run(stop, herald.turned)
    parts.listener.stop()
    if peers:
        peers.stop()
    nodes.close()
    log.info("scaler.stopped", asked=stop.is_set())
    return 0 if stop.is_set() else 1


def _console(args: argparse.Namespace) -> Console | None:
    """What to draw on; None without ``--watch``."""
    if args.log and not args.watch:
        raise SettingsError(f"--log {args.log} goes with --watch; without that the log is on standard output")
    return terminal() if args.watch else None


def _stop_on_signals(notifier: Notifier) -> threading.Event:
    """Set by SIGTERM or SIGINT.

    A daemon thread waits for the signals, which every thread started from now on leaves to it: an Event set from a
    signal handler may deadlock with the main thread waiting on it. It ends with the process; only stopping needs it.
    """
    stop = threading.Event()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)

    def wait() -> None:
        signal.sigwait(STOPS)
        stop.set()
        notifier.stopping("leaves the fleet as it is")

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop


def _find_queues(
    settings: ScalerSettings, queues: SqsQueues, troubles: Troubles, stop: threading.Event
) -> tuple[SqsQueue, SqsQueue] | None:
    """The queues of requests and events, as soon as AWS shows them; None when stopped before."""
    while not stop.is_set():
        with troubles.aws("queues"):
            return queues.named(settings.queue("requests")), queues.named(settings.queue("events"))
        stop.wait(RETRY)
    return None
