"""CPU of a call to S3 and to SQS by boto3 and by the quick way, against the local emulator: aws_calls.py [kilobytes].

Prints medians of interleaved rounds, in milliseconds of this process's CPU, and their ratio.
"""

import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from skylens.aws import Aws
from skylens.local import children, environment
from skylens.local.emulators import Emulators
from skylens.local.probe import Probe
from skylens.queues import BATCH, Outgoing, SqsQueue
from skylens.quick_sqs import quick_queues
from skylens.quick_store import QuickStore
from skylens.store import S3Store

ROUNDS, CALLS = 11, 50
Way = tuple[S3Store, SqsQueue]


def measure(kilobytes: int) -> None:
    aws, name = Aws("us-east-1"), f"bench-{uuid.uuid4().hex}"
    client, sqs, data = aws.s3(), aws.sqs(), os.urandom(kilobytes * 1024)
    client.create_bucket(Bucket=name)
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    ways = {
        "boto3": (S3Store(client, name), SqsQueue(sqs, sqs, url)),
        "quick": (QuickStore(client, aws.session, name), quick_queues(aws).named(name)),
    }
    ways["boto3"][0].put("image", data, "image/jpeg")
    held: list[str] = []
    ten = [Outgoing(b"x" * 700, "tenant")] * BATCH

    def receive(way: Way) -> None:
        held.extend(one.receipt for one in way[1].receive(BATCH, wait=0))

    def delete(way: Way) -> None:
        way[1].delete([held.pop() for _ in range(BATCH)])

    calls: dict[str, Callable[[Way], object]] = {
        f"S3: put {kilobytes} KiB": lambda way: way[0].put(uuid.uuid4().hex, data, "image/jpeg"),
        "S3: put if new": lambda way: way[0].put_if(uuid.uuid4().hex, data, "image/jpeg", etag=None),
        "S3: get": lambda way: way[0].get("image"),
        "SQS: send ten": lambda way: way[1].send_many(ten),
        "SQS: receive ten": receive,
        "SQS: delete ten": delete,
    }
    print(f"ms of CPU a call         {'   '.join(ways)}   ratio")
    for call, work in calls.items():
        taken: dict[str, list[float]] = {kind: [] for kind in ways}
        for _ in range(ROUNDS):
            for kind, way in ways.items():
                taken[kind].append(_cpu(work, way))
        boto3, quick = (statistics.median(taken[kind][1:]) for kind in ways)
        print(f"{call:22}  {boto3:6.2f}  {quick:6.2f}  {boto3 / quick:6.1f}")


def _cpu(work: Callable[[Way], object], way: Way) -> float:
    began = time.process_time()
    for _ in range(CALLS):
        work(way)
    return (time.process_time() - began) / CALLS * 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        emulators, probe = Emulators(environment.base(os.environ, folder), folder, folder), Probe(lambda: False)
        try:
            emulators.start()
            emulators.await_ready(probe)
            os.environ.update(emulators.environment())
            measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
        finally:
            children.kill(emulators.children, print)
            emulators.close()
            probe.close()


if __name__ == "__main__":
    main()
