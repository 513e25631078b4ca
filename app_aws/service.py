"""Builds a worker from the real world: metadata, environment, AWS, model; runs it and ends it by signals."""

import os
import signal
import socket
from collections.abc import Mapping
from types import FrameType

from app_aws import registry
from app_aws.backoff import Backoff
from app_aws.batcher import Batcher
from app_aws.cpu import Cpu
from app_aws.events import Events
from app_aws.leases import Leases
from app_aws.lifecycle import AutoscalerLease, Rules
from app_aws.metadata import Metadata
from app_aws.receiver import Receiver
from app_aws.tally import Tally
from app_aws.task import Recogniser
from app_aws.worker import Parts, Worker
from skylens import logs, systemd
from skylens.aws import Aws
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.clock import Clock
from skylens.errors import UnavailableError
from skylens.queues import SqsQueues
from skylens.settings import WorkerSettings, load
from skylens.store import S3Store
from skylens.systemd import Notifier

log = logs.get(__name__)
_SLOTS_PER_CORE = 4


def run() -> int:
    """Work until there is a reason to leave; 0 when all that was taken is answered. Raises SkylensError at start."""
    clock = Clock()
    began = clock.ticks()
    notifier = Notifier(os.environ, os.getpid(), clock)
    systemd.forget(os.environ)
    metadata = Metadata(os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", ""), clock)
    instance = metadata.instance_id()
    settings = _settings(metadata.user_data() if instance else {})
    logs.configure(settings.log_level, settings.log_format, "worker")
    try:
        worker = _build(settings, metadata, instance, clock, notifier)
    except AWS_ERRORS as error:
        raise UnavailableError(f"deployment {settings.deployment} cannot be reached: {explain(error)}") from error
    _on_signals(worker)
    log.info("worker.ready", model=settings.model, seconds=round(clock.ticks() - began, 3))
    return 0 if worker.run() else 1


def _settings(user_data: Mapping[str, str]) -> WorkerSettings:
    """The settings: the environment's first, then those given to the instance at launch. Raises SettingsError."""
    for name, value in user_data.items():
        os.environ.setdefault(name, value)
    return load(WorkerSettings)


def _build(
    settings: WorkerSettings, metadata: Metadata, instance: str | None, clock: Clock, notifier: Notifier
) -> Worker:
    """Everything wired together. ``launched`` goes out while the model loads."""
    cores = os.cpu_count() or 1
    slots = settings.slots or _SLOTS_PER_CORE * cores
    name = instance or f"{socket.gethostname()}-{os.getpid()}"
    tally = Tally(slots, clock)

    aws = Aws(settings.region, pool=slots + 4)
    queues = SqsQueues(aws.sqs(), aws.sqs_polling())
    queue = queues.named(settings.queue("events"))
    events = Events(queue, name, tally, clock, settings.heartbeat_seconds, Cpu(clock).percent)
    events.start()
    events.say("launched")

    s3 = aws.s3()
    folder = registry.find(settings.model, registry.models_dir(settings.models_dir))
    engine = registry.load(folder, max_pixels=settings.max_pixels)
    batcher = Batcher(engine.infer, settings.batch_size, settings.batch_wait_ms, threads=min(cores, slots))
    requests = queues.named(settings.queue("requests"), settings.visibility_timeout)
    recogniser = Recogniser(
        requests=requests,
        dead=queues.named(settings.queue("requests-dead")),
        replies=queues,
        inputs=S3Store(s3, settings.bucket("input")),
        outputs=S3Store(s3, settings.bucket("output")),
        engine=engine,
        submit=batcher.submit,
        instance=name,
        clock=clock,
    )
    leases = Leases(requests, settings.visibility_timeout, clock)
    receiver = Receiver(requests, recogniser.handle, tally, leases, events.turned, clock, Backoff())
    return Worker(
        Parts(receiver, batcher, leases, events, tally),
        Rules(settings.idle_timeout, settings.orphan_timeout, settings.resident),
        AutoscalerLease(S3Store(s3, settings.bucket("state")), clock),
        metadata.notice if instance else _no_notice,
        clock,
        look_seconds=settings.metadata_seconds,
        patience=settings.visibility_timeout,
        notifier=notifier,
    )


def _no_notice() -> str | None:
    """What a plain machine, without metadata, is told."""
    return None


def _on_signals(worker: Worker) -> None:
    """The first SIGTERM or SIGINT drains; a second one ends the process as it would any other."""

    def drain(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        worker.leave(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, drain)
