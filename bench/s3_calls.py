"""CPU of one S3 call by boto3 and by obstore, against the local emulator: python bench/s3_calls.py [kilobytes].

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
from skylens.quick_store import QuickStore
from skylens.store import S3Store

ROUNDS, CALLS = 11, 50


def measure(kilobytes: int) -> None:
    aws = Aws("us-east-1")
    client, data, bucket = aws.s3(), os.urandom(kilobytes * 1024), f"bench-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    stores = {"boto3": S3Store(client, bucket), "obstore": QuickStore(client, aws.session, bucket)}
    stores["boto3"].put("image", data, "image/jpeg")
    calls: dict[str, Callable[[S3Store], object]] = {
        "put": lambda store: store.put(uuid.uuid4().hex, data, "image/jpeg"),
        "put if new": lambda store: store.put_if(uuid.uuid4().hex, data, "image/jpeg", etag=None),
        "get": lambda store: store.get("image"),
    }
    print(f"ms of CPU a call, {kilobytes} KiB     boto3  obstore  ratio")
    for name, call in calls.items():
        taken: dict[str, list[float]] = {kind: [] for kind in stores}
        for _ in range(ROUNDS):
            for kind, store in stores.items():
                taken[kind].append(_cpu(call, store))
        boto3, obstore = (statistics.median(taken[kind][1:]) for kind in stores)
        print(f"{name:28}  {boto3:6.2f}  {obstore:7.2f}  {boto3 / obstore:5.1f}")


def _cpu(call: Callable[[S3Store], object], store: S3Store) -> float:
    began = time.process_time()
    for _ in range(CALLS):
        call(store)
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
