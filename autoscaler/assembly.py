"""Builds the autoscaler's parts from its settings, with real clients of AWS."""

import os
import socket
import uuid

from autoscaler.fleets import make as fleets
from autoscaler.lease import Lease
from autoscaler.ledger import Accounts
from autoscaler.listener import Listener
from autoscaler.loop import Parts
from autoscaler.memory import Memory, Minds
from autoscaler.metrics import Metrics
from autoscaler.nodes import Nodes
from autoscaler.peers import NovaPeers, Peers
from autoscaler.policies import make
from autoscaler.prices import Prices
from autoscaler.roster import Roster
from autoscaler.signals import Signals, Sources
from autoscaler.trouble import Troubles
from skylens.aws import Aws
from skylens.clock import Clock
from skylens.cloudwatch import AwsCloudWatch
from skylens.nova import SdkNova
from skylens.queues import Queue
from skylens.settings import ScalerSettings
from skylens.store import S3Store


def assemble(
    settings: ScalerSettings,
    aws: Aws,
    queues: tuple[Queue, Queue],
    prices: Prices,
    nodes: Nodes,
    metrics: Metrics,
    troubles: Troubles,
    clock: Clock,
    peers: Peers | None = None,
) -> Parts:
    """All parts of the loop; none of them has started. ``queues``: of requests and of events."""
    requests, events = queues
    store, policy = S3Store(aws.s3(), settings.bucket("state")), make(settings)
    roster = Roster(clock, settings.boot_timeout)
    lease = None if settings.dry_run else Lease(store, owner(), settings.lease_seconds, clock)
    call_seconds = settings.lease_seconds / 2
    fleet = fleets.make(settings, aws, call_seconds, user_data(settings), clock)
    listener = Listener(events, roster, troubles, clock)
    accounts = Accounts(prices, settings.instance_types)
    metric = None
    if settings.cpu_source == "cloudwatch":
        metric = AwsCloudWatch(aws.cloudwatch(call_seconds), settings.deployment, clock)
    sources = Sources(nodes, requests, fleet, roster, listener, accounts, metric, peers)
    return Parts(
        signals=Signals(sources, settings, troubles, clock),
        policy=policy,
        fleet=fleet,
        roster=roster,
        listener=listener,
        lease=lease,
        memory=Memory(store, lease, Minds(roster, accounts, policy, settings.policy), troubles, clock),
        nodes=nodes,
        metrics=metrics,
        troubles=troubles,
    )


def find_peers(settings: ScalerSettings, troubles: Troubles, clock: Clock) -> NovaPeers | None:
    """Who finds the web nodes, not started; None when they are those of the settings. Raises SettingsError."""
    if not settings.nova_cloud:
        return None
    given = settings.web_nodes if "web_nodes" in settings.model_fields_set else ()
    return NovaPeers(SdkNova(settings.nova_cloud), settings.deployment, given, troubles, clock)


def owner() -> str:
    """A name for the lease that no other process ever has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def user_data(settings: ScalerSettings) -> str:
    """What workers start with besides the launch template's own user-data."""
    leaves = settings.policy in {"deficit", "resident"}
    return f"SKYLENS_IDLE_TIMEOUT={settings.idle_timeout:g}\n" if leaves else ""
