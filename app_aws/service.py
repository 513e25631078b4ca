"""Builds a worker from the real world: metadata, environment, AWS, model; runs it and ends it by signals."""

import os
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

from app_aws import cpu, memory, registry, tuning
from app_aws.backoff import Backoff
from app_aws.batcher import Batcher
from app_aws.bucket import BucketRegistry
from app_aws.engine import Array, Engine
from app_aws.events import Events
from app_aws.leases import Leases
from app_aws.lifecycle import AutoscalerLease, Rules
from app_aws.metadata import Metadata
from app_aws.receiver import Receiver
from app_aws.switch import Bucket, Fixed, Serving, Switch, opening
from app_aws.tally import Tally
from app_aws.task import Recogniser
from app_aws.tuning import Choice
from app_aws.worker import Parts, Worker
from skylens import logs, systemd
from skylens.aws import Aws
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.clock import Clock
from skylens.errors import UnavailableError
from skylens.gathered import GatheredQueue, GatheredReplies
from skylens.quick_sqs import quick_queues
from skylens.quick_store import bucket_store
from skylens.reply_to import OwnReplies
from skylens.settings import WorkerSettings, load
from skylens.store import S3Store, Store
from skylens.systemd import Notifier

log = logs.get(__name__)
_SLOTS_PER_CORE, _MOST_SLOTS = 4, 256
_BESIDE, _MOST_BESIDE = 6, 128
"""For each slot, how many images more may be in flight, waiting for it or being answered; and most of these."""
_REPLY_LINGER, _DELETE_LINGER = 0.1, 0.25
"""Seconds that a reply and a deletion wait for others, while images wait for a slot."""


def run() -> int:
    """Work until there is a reason to leave; 0 when all that was taken is answered. Raises SkylensError at start."""
    clock = Clock()
    began = clock.ticks()
    memory.keep(arenas=cpu.cores())
    cpu.undisturbed()
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
    log.info("worker.ready", seconds=round(clock.ticks() - began, 3))
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
    cores = cpu.cores()
    slots = settings.slots or min(_MOST_SLOTS, _SLOTS_PER_CORE * cores)
    name = instance or f"{socket.gethostname()}-{os.getpid()}"
    tally = Tally(slots, clock, slots + min(_BESIDE * slots, _MOST_BESIDE))

    aws = Aws(settings.region, pool=tally.held + 4)
    queues = quick_queues(aws)
    queue = queues.named(settings.queue("events"))
    events = Events(queue, name, tally, clock, settings.heartbeat_seconds, cpu.Cpu(clock).percent)
    events.start()
    events.say("launched")

    s3 = aws.s3()
    state = S3Store(s3, settings.bucket("state"))
    models = _models(settings, state, min(cores, slots), clock)
    requests = queues.named(settings.queue("requests"), settings.visibility_timeout)
    recogniser = Recogniser(
        requests=GatheredQueue(requests, tally.pressing, delete_linger=_DELETE_LINGER),
        dead=queues.named(settings.queue("requests-dead")),
        replies=OwnReplies(GatheredReplies(queues, tally.pressing, linger=_REPLY_LINGER), settings.queue("replies-")),
        inputs=bucket_store(s3, aws.session, settings.bucket("input")),
        outputs=bucket_store(s3, aws.session, settings.bucket("output")),
        models=models,
        instance=name,
        clock=clock,
        stores=ThreadPoolExecutor(tally.held, thread_name_prefix="store"),
    )
    leases = Leases(requests, settings.visibility_timeout, clock)
    receiver = Receiver(requests, recogniser.handle, tally, leases, events.turned, clock, Backoff())
    return Worker(
        Parts(receiver, models, leases, events, tally),
        Rules(settings.idle_timeout, settings.orphan_timeout, settings.resident),
        AutoscalerLease(state, clock),
        metadata.notice if instance else _no_notice,
        clock,
        look_seconds=settings.metadata_seconds,
        patience=settings.visibility_timeout,
        notifier=notifier,
    )


def _models(settings: WorkerSettings, state: Store, calls: int, clock: Clock) -> Switch:
    """The model to start with, and where others come from. ``calls``: of all models together, at once."""
    installed = registry.models_dir(settings.models_dir)
    cores, decoding = threading.BoundedSemaphore(calls), threading.BoundedSemaphore(calls)

    def serving(engine: Engine, choice: Choice) -> Serving:
        own = threading.BoundedSemaphore(choice.calls)

        def infer(batch: Sequence[Array]) -> Array:
            with own, cores:
                return engine.infer(batch)

        size = settings.batch_size if "batch_size" in settings.model_fields_set else choice.batch
        return Serving(engine, Batcher(infer, size, settings.batch_wait_ms, threads=calls, decoding=decoding))

    usual = tuning.safe(calls, settings.batch_size)

    def own() -> Serving:
        folder = registry.find(settings.model, installed)
        choice = tuning.kept(folder, tuning.own_key(folder, cpu.cores())) or usual
        return serving(registry.load(folder, max_pixels=settings.max_pixels, threads=choice.threads), choice)

    if not settings.model_seconds:
        return Switch(own(), Fixed(), clock, 0)
    bucket = BucketRegistry(state)

    def fetched(model_id: str) -> Serving:
        return serving(bucket.load(model_id, installed, max_pixels=settings.max_pixels), usual)

    models = Bucket(state, fetched)
    return Switch(opening(models, own), models, clock, settings.model_seconds)


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
