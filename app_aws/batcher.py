"""Prepares images and gathers those that arrive at about the same time into one call of the model."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from app_aws.engine import Array

Prepare = Callable[[], Array]
_Job = tuple[Prepare, "Future[Array]"]
_Ready = tuple[Array, "Future[Array]"]


class Batcher:
    """Each thread takes what waits, up to ``size`` images or ``wait_ms`` after the first, prepares and infers it.

    An image is prepared by the thread that infers it: between the two nobody has to be woken, and no more images are
    decoded at once than there are threads.

    Threads ``batcher-N``: owned by the worker, daemons, one batch at a time each; ``stop`` lets them finish what was
    submitted before. If one dies, the images it held are never answered: their leases run out with the worker, which
    sees the dead thread and leaves.
    """

    def __init__(
        self, infer: Callable[[Sequence[Array]], Array], size: int, wait_ms: float, *, threads: int = 1
    ) -> None:
        """``threads``: images prepared, and model calls made, at once; one for each core."""
        self._infer, self._size, self._wait = infer, size, wait_ms / 1000
        # Not a SimpleQueue: its get(timeout) may wait for ever when another thread takes the item that woke it.
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self.threads = [
            threading.Thread(target=self._run, name=f"batcher-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def submit(self, prepare: Prepare) -> "Future[Array]":
        """The probabilities of the image that ``prepare`` gives, or what it raises, later."""
        future: Future[Array] = Future()
        self._jobs.put((prepare, future))
        return future

    def stop(self, timeout: float) -> None:
        """Let each thread finish what was submitted before, waiting at most ``timeout`` seconds for all of them."""
        for _ in self.threads:
            self._jobs.put(None)
        until = time.monotonic() + timeout
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, ended = self._gather(first)
            self._resolve(batch)
            if ended:
                return

    def _gather(self, first: _Job) -> tuple[list[_Ready], bool]:
        """A batch that starts with ``first``, each prepared as it is taken, and whether the end came behind it."""
        until = time.monotonic() + self._wait
        batch = _prepared(first)
        while len(batch) < self._size:
            try:
                job = self._jobs.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch += _prepared(job)
        return batch, False

    def _resolve(self, batch: list[_Ready]) -> None:
        """Infer; when that fails, each image by itself, so that a bad one does not fail its neighbours."""
        if not batch:
            return
        try:
            found = self._infer([image for image, _ in batch])
        except Exception as error:  # noqa: BLE001 - goes to whoever submitted the image
            if len(batch) == 1:
                batch[0][1].set_exception(error)
            else:
                for job in batch:
                    self._resolve([job])
            return
        for (_, future), probabilities in zip(batch, found, strict=True):
            future.set_result(probabilities)


def _prepared(job: _Job) -> list[_Ready]:
    """The image ready to be inferred; none when it cannot be prepared, which its submitter is told."""
    prepare, future = job
    try:
        return [(prepare(), future)]
    except Exception as error:  # noqa: BLE001 - goes to whoever submitted the image
        future.set_exception(error)
        return []
