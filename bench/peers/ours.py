"""Skylens itself: web tier and worker as their own processes, S3 and SQS from the emulators of the local cloud."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from serving import DEPLOYMENT, INLINE, Emulators, World

from peers import usage
from peers.system import ALL, Ask, Job, Running
from skylens.local.ports import Port
from skylens.local.tiers import Options
from skylens.settings import WebSettings

OFF: dict[str, Any] = {name: 0 for name in ("cache_mib",) if name in WebSettings.model_fields}
"""The same pictures come again and again here: without the cache of results, each of them costs work, as elsewhere."""

ASK = Ask("/v1/images?wait=60", ("labels", 0, "label"))


@dataclass(frozen=True)
class Skylens:
    name: str
    kind: str
    """``fast``, as it is by default, or ``plain``; see ``bench/serving.py``."""
    keeps: str = ALL
    ask: Ask = ASK

    def install(self) -> None:
        """It is."""

    @contextmanager
    def serve(self, job: Job, clients: int) -> Iterator[Running]:  # noqa: ARG002 - it takes as many as come
        public, internal = Port(), Port()
        listen: dict[str, Any] = {"listen": public.address, "internal_listen": internal.address}
        public.close()
        internal.close()
        with tempfile.TemporaryDirectory() as name:
            logs = Path(name)
            with Emulators(Options(deployment=DEPLOYMENT, web_nodes=0), logs=logs) as cloud:
                world = World(cloud, job.folder, logs)
                beside = usage.family(psutil.Process(pid) for pid in cloud.state().emulators.values())
                began = time.perf_counter()
                with (
                    world.worker() as worker,
                    world.tier(
                        "web", inline_bytes=INLINE[self.kind], node=f"bench-{self.kind}", **OFF, **listen
                    ) as web,
                ):
                    yield Running(public.number, [web, worker], logs / "web.log", beside=beside, began=began)
