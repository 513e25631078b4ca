"""Prepares images and gathers those that arrive at about the same time into one call of the model."""

import math
import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext

from app_aws.engine import Array
from app_aws.tenant_queue import TenantQueue
from skylens.errors import SkylensError, let_go

Prepare = Callable[[], Array]
_Job = tuple[Prepare, "Future[Array]"]
_Ready = tuple[Array, "Future[Array]"]
_ROW, _ROW_SECONDS = 4, 0.05
"""Most images that a thread prepares in a row before it infers them, and most seconds that inferring them may take.

So decoder and model each find their code and data in the processor's caches. But nobody else takes over what is in a
row: with a slow model, another thread could be idle meanwhile.
"""
_LONGEST_ROW = 0.25
"""Seconds after which nothing more is prepared into a row: what is in it waits for that."""


class Batcher:
    """Each thread takes what waits, up to ``size`` images or ``wait_ms`` after the first, prepares and infers it.

    An image is prepared by the thread that infers it: between the two nobody has to be woken, and no more images are
    decoded at once than there are threads. With a quick model, what waits is taken some at a time even where a batch
    is a single image. Of what has a slot, tenants go in turn: one that sends images that take seconds does not hold up
    another's. Which images get a slot is SQS's to say, whose message groups are the tenants.

    Threads ``batcher-N``: owned by the worker, daemons, one batch at a time each; ``stop`` lets them finish what was
    submitted before. If one dies, the images it held are never answered: their leases run out with the worker, which
    sees the dead thread and leaves.
    """

    def __init__(
        self,
        infer: Callable[[Sequence[Array]], Array],
        size: int,
        wait_ms: float,
        *,
        threads: int = 1,
        decoding: AbstractContextManager[object] | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """``threads``: images prepared, and model calls made, at once; one for each core. ``ticks``: seconds.

        ``decoding``: held while an image is prepared, where several batchers share the memory for that.
        """
        self._decoding = decoding or nullcontext()
        self._infer, self._size, self._wait, self._ticks = infer, size, wait_ms / 1000, ticks
        self._took = math.inf
        """Seconds an image that the last call of the model took, of whichever thread."""
        # Not a SimpleQueue: its get(timeout) may wait for ever when another thread takes the item that woke it.
        self._jobs: TenantQueue[_Job | None] = TenantQueue()
        self.threads = [
            threading.Thread(target=self._run, name=f"batcher-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def submit(self, prepare: Prepare, tenant: str = "") -> "Future[Array]":
        """The probabilities of the image that ``prepare`` gives, or what it raises, later."""
        future: Future[Array] = Future()
        self._jobs.put((tenant, (prepare, future)))
        return future

    def stop(self, timeout: float) -> None:
        """Let each thread finish what was submitted before, waiting at most ``timeout`` seconds for all of them."""
        for _ in self.threads:
            self._jobs.put((None, None))
        until = time.monotonic() + timeout
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while (first := self._jobs.get()[1]) is not None:
            row, ended = self._gather(first)
            for start in range(0, len(row), self._size):
                self._resolve(row[start : start + self._size])
            if ended:
                return

    def _gather(self, first: _Job) -> tuple[list[_Ready], bool]:
        """A row that starts with ``first``, each prepared as it is taken, and whether the end came behind it."""
        until = self._ticks() + self._wait
        row, most = self._prepared(first), max(self._size, min(_ROW, int(_ROW_SECONDS / self._took)))
        while len(row) < most and (not row or self._ticks() < until + _LONGEST_ROW):
            patience = until - self._ticks() if len(row) < self._size else 0.0
            try:
                job = self._jobs.get(timeout=max(0.0, patience))[1]
            except queue.Empty:
                break
            if job is None:
                return row, True
            row += self._prepared(job)
        return row, False

    def _prepared(self, job: _Job) -> list[_Ready]:
        """The image ready to be inferred; none when it cannot be prepared, which its submitter is told."""
        prepare, future = job
        try:
            with self._decoding:
                return [(prepare(), future)]
        except Exception as error:  # noqa: BLE001 - goes to whoever submitted the image
            future.set_exception(_bare(error))
            return []

    def _resolve(self, batch: list[_Ready]) -> None:
        """Infer; when that fails, each image by itself, so that a bad one does not fail its neighbours."""
        began = self._ticks()
        try:
            found = self._infer([image for image, _ in batch])
        except Exception as error:  # noqa: BLE001 - goes to whoever submitted the image
            if len(batch) == 1:
                batch[0][1].set_exception(_bare(error))
            else:
                for job in batch:
                    self._resolve([job])
            return
        self._took = max((self._ticks() - began) / len(batch), 1e-6)
        for (_, future), probabilities in zip(batch, found, strict=True):
            future.set_result(probabilities)


def _bare(error: Exception) -> Exception:
    """An error for a future: its traceback would lead to frames that lead to the future, and keep the pictures in them.

    Of one that is no answer to a client, the traceback is added as text.
    """
    if not isinstance(error, SkylensError):
        error.add_note("".join(traceback.format_exception(error)))
    return let_go(error)
