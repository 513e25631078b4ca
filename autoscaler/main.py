"""``skylens scaler``: the one place of this tier that reads the world and builds real clients."""

import argparse
import os
import signal
import socket
import threading
import uuid

from autoscaler.fleets.ec2 import Ec2Fleet
from autoscaler.lease import Lease
from autoscaler.listener import Listener
from autoscaler.loop import Loop, Parts
from autoscaler.metrics import Metrics
from autoscaler.nodes import WebNodes
from autoscaler.policies import make
from autoscaler.roster import Roster
from autoscaler.signals import Signals, Sources
from autoscaler.trouble import Troubles
from skylens import logs
from skylens.aws import Aws
from skylens.clock import Clock
from skylens.instances import Ec2Instances
from skylens.queues import SqsQueue, SqsQueues
from skylens.settings import ScalerSettings, load
from skylens.store import S3Store

STOPS = {signal.SIGTERM, signal.SIGINT}
RETRY = 2.0

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
run beside the acting autoscaler; workers then show as booting, since only their events tell busy from idle."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("--dry-run", action="store_true", help="decide and log, but launch, drain and end nothing")


def run(args: argparse.Namespace) -> int:
    """Run until stopped. 0 after a signal; 1 when the events thread died, so that the service manager starts anew."""
    settings = load(ScalerSettings, **({"dry_run": True} if args.dry_run else {}))
    logs.configure(settings.log_level, settings.log_format, "scaler")
    stop = _stop_on_signals()
    log, metrics, clock = logs.get("autoscaler"), Metrics(), Clock()
    if settings.metrics_listen:
        metrics.serve(settings.metrics_listen)
    troubles, aws = Troubles(metrics), Aws(settings.region)
    queues = _find_queues(settings, SqsQueues(aws.sqs(), aws.sqs_polling()), troubles, stop)
    if queues is None:
        return 0
    requests, events = queues
    roster = Roster(clock)
    nodes = WebNodes(settings.web_nodes)
    lease = Lease(S3Store(aws.s3(), settings.bucket("state")), owner(), settings.lease_seconds, clock)
    instances = Ec2Instances(aws.ec2(lease.call_seconds), settings.deployment, settings.template(), user_data(settings))
    fleet = Ec2Fleet(instances, settings.subnets, clock)
    listener = Listener(events, roster, troubles, clock)
    sources = Sources(nodes=nodes, requests=requests, fleet=fleet, roster=roster, listener=listener)
    parts = Parts(
        signals=Signals(sources, settings, troubles, clock),
        policy=make(settings),
        fleet=fleet,
        roster=roster,
        listener=listener,
        lease=None if settings.dry_run else lease,
        nodes=nodes,
        metrics=metrics,
        troubles=troubles,
    )
    log.info("scaler.started", policy=settings.policy, maximum=settings.maximum, dry_run=settings.dry_run)
    listener.start()
    Loop(parts, settings, clock).run(stop)
    listener.stop()
    nodes.close()
    log.info("scaler.stopped", asked=stop.is_set())
    return 0 if stop.is_set() else 1


def owner() -> str:
    """A name for the lease that no other process ever has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def user_data(settings: ScalerSettings) -> str:
    """What workers start with besides the launch template's own user-data."""
    return f"SKYLENS_IDLE_TIMEOUT={settings.idle_timeout:g}\n" if settings.policy == "deficit" else ""


def _stop_on_signals() -> threading.Event:
    """Set by SIGTERM or SIGINT.

    A daemon thread waits for the signals, which every thread started from now on leaves to it: an Event set from a
    signal handler may deadlock with the main thread waiting on it. It ends with the process; only stopping needs it.
    """
    stop = threading.Event()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)

    def wait() -> None:
        signal.sigwait(STOPS)
        stop.set()

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
