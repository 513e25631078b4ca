"""``skylens web``: reads the world, builds the web tier, serves until told to stop."""

import argparse
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uuid_utils

from skylens import logs, systemd
from skylens.aws import Aws
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.clock import Clock
from skylens.errors import SettingsError, UnavailableError
from skylens.queues import SqsQueue
from skylens.quick_sqs import quick_queues
from skylens.quick_store import bucket_store
from skylens.reply_to import OwnReplies
from skylens.resources import declared
from skylens.settings import WebSettings, load
from skylens.store import S3Store
from skylens.systemd import Notifier
from web_openstack import freed, keys, server
from web_openstack.app import Deps, create_app, create_internal_app
from web_openstack.deadletters import DeadLetters
from web_openstack.deletion import Deletions
from web_openstack.gate import Gate
from web_openstack.housekeeping import Astray, Housekeeping, ReplyQueues, tags
from web_openstack.identity import identified
from web_openstack.jobs import OWN
from web_openstack.keyring import Keyring
from web_openstack.keys_file import KeysWatch
from web_openstack.refill import Refill
from web_openstack.replies import HELPERS, HIDDEN, ReplyHelper, ReplyThread
from web_openstack.unstored import Unstored
from web_openstack.vouched import vouched

log = logs.get(__name__)

POOL = 64
"""Connections to AWS kept open."""
SOCKETS = {"public": "listen", "internal": "internal_listen"}
"""The sockets that systemd may hand over, by FileDescriptorName, each with the setting that it stands for."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Settings come from SKYLENS_* variables; `skylens settings` lists them. SIGTERM drains and stops."


def new_id() -> str:
    """A time-ordered id (UUIDv7)."""
    return str(uuid_utils.uuid7())


def run(args: argparse.Namespace) -> int:
    del args
    sockets = systemd.inherited(os.environ, os.getpid())
    notifier = Notifier(os.environ, os.getpid(), Clock())
    systemd.forget(os.environ)
    settings = load(WebSettings, **addresses(sockets))
    logs.configure(settings.log_level, settings.log_format, "web")
    settings = identified(settings)
    try:
        with contextlib.ExitStack() as stack:
            _serve(settings, sockets, notifier, stack)
    except AWS_ERRORS as error:
        what = f"cannot reach the queues and buckets of {settings.deployment!r}"
        raise UnavailableError(f"{what}: {explain(error)}") from error
    return 0


def addresses(sockets: Mapping[str, socket.socket]) -> dict[str, str]:
    """The settings of the addresses as they really are: what is checked, and names the node, is where clients connect.

    Raises SettingsError for a socket that this tier has no use for.
    """
    if strange := sorted(sockets.keys() - SOCKETS.keys()):
        raise SettingsError(f"inherited sockets {strange}: FileDescriptorName= must be one of {', '.join(SOCKETS)}")
    return {SOCKETS[name]: systemd.address(sock) for name, sock in sockets.items()}


def pulse(threads: Sequence[threading.Thread], notifier: Notifier) -> Callable[[], None]:
    """What the main loop is to call at each turn: feeds the watchdog while every thread lives.

    An outage of AWS is no reason to be started anew, so nobody asks whether AWS answers.
    """
    lost: list[str] = []

    def beat() -> None:
        dead = [thread.name for thread in threads if not thread.is_alive()]
        if not dead:
            notifier.alive()
        elif dead != lost:
            lost[:] = dead
            log.error("web.broken", dead=dead)

    return beat


def _serve(
    settings: WebSettings, sockets: Mapping[str, socket.socket], notifier: Notifier, stack: contextlib.ExitStack
) -> None:
    """Build, start the threads, serve. Stop order: accept no more, wake the waiters, drain, end the threads."""
    server.allow_files(settings.max_waits, beside=2 * POOL + OWN + 64)
    aws, clock = Aws(settings.region, pool=POOL), Clock()
    ring = KeysWatch(Path(settings.keys_file), clock).ring if settings.keys_file else None
    s3, queues = aws.s3(), quick_queues(aws)
    outputs, state = bucket_store(s3, aws.session, settings.bucket("output")), S3Store(s3, settings.bucket("state"))
    prefix, attributes = settings.queue("replies-"), declared().reply_queues

    def own() -> SqsQueue:
        name = prefix + settings.node_name()
        queues.ensure(name, tags(settings.deployment, clock), int(attributes["MessageRetentionPeriod"]))
        return queues.named(name, HIDDEN)

    tokens, vouching = vouched(settings, clock, stack)
    threads: list[ReplyThread] = []
    deps = Deps.of(
        settings,
        inputs=bucket_store(s3, aws.session, settings.bucket("input")),
        outputs=outputs,
        state=state,
        requests=queues.named(settings.queue("requests")),
        calls=stack.enter_context(ThreadPoolExecutor(POOL, thread_name_prefix="aws")),
        clock=clock,
        new_id=new_id,
        in_touch=lambda: all(thread.in_touch() for thread in threads),
        ring=ring,
        vouched=tokens,
    )
    unstored, letters = Unstored(outputs, clock), queues.named(settings.queue("requests-dead"))
    dead = DeadLetters(letters, OwnReplies(queues, prefix), state, outputs, unstored, clock, deps.metrics)
    replies = ReplyThread(own, deps.jobs, unstored, deps.metrics, clock)
    tenants = keys.tenants(settings.api_keys, (ring or Keyring)())
    refill = Refill(deps.jobs.cache, state, outputs, tenants, clock)
    chores = Housekeeping(
        [
            Deletions(deps.jobs, state).look,
            unstored.look,
            dead.keep,
            Astray(deps.jobs).look,
            deps.audit.flush,
            ReplyQueues(queues, own(), settings.deployment, prefix, attributes, clock).keep,
            *([refill.keep] if settings.cache_mib else []),
            freed.give_back,
        ]
    )
    threads.append(replies)
    courier = None
    if settings.webhook_secrets:  # only who uses it has httpcore in memory
        from web_openstack.webhooks import service  # noqa: PLC0415

        courier = service.courier(deps, stack, clock)
    public, internal = _bind(settings, sockets, deps)

    def stop(*_: object) -> None:
        notifier.stopping(f"draining for at most {settings.drain_seconds:g} s")
        public.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    beside = threading.Thread(target=internal.serve, name="internal", daemon=True)
    helpers = [ReplyHelper(replies, number) for number in range(1, HELPERS + 1)]
    lasting = [replies, *helpers, chores, beside, *([courier] if courier else [])]
    for thread in lasting:
        thread.start()
    stack.callback(beside.join, 5)
    stack.callback(internal.stop)
    stack.callback(chores.halt)
    stack.callback(replies.halt)
    if courier:
        stack.callback(courier.join, 5)
        stack.callback(courier.halt)
    log.info("web.listening", address=public.address, internal=internal.address, node=settings.node_name())
    notifier.ready(f"{settings.node_name()} serves {public.address}")
    public.serve(deps.drain, settings.drain_seconds, pulse([*lasting, *vouching], notifier))
    log.info("web.stopped")


def _bind(
    settings: WebSettings, sockets: Mapping[str, socket.socket], deps: Deps
) -> tuple[server.Server, server.Server]:
    try:
        return (
            server.public(
                create_app(deps),
                sockets.get("public", settings.listen),
                slots=settings.max_waits,
                max_body=settings.max_body_bytes,
                trusted_proxy=settings.trusted_proxy,
                gate=Gate(deps.callers),
                room=deps.room,
                memory=deps.memory,
            ),
            server.internal(create_internal_app(deps), sockets.get("internal", settings.internal_listen)),
        )
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot listen on {settings.listen} and {settings.internal_listen}: {error}; "
            "set SKYLENS_LISTEN and SKYLENS_INTERNAL_LISTEN to free addresses"
        ) from error
