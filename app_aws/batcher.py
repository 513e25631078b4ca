"""Gathers images that arrive at about the same time into one call of the model."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from app_aws.engine import Array

_Job = tuple[Array, "Future[Array]"]


class Batcher:
    """Each thread takes what waits, up to ``size`` images or ``wait_ms`` after the first, and infers it.

    Threads ``batcher-N``: owned by the worker, daemons, one model call at a time each; ``stop`` lets them finish what
    was submitted before. If one dies, the images it held are never answered: their leases run out with the worker,
    which sees the dead thread and leaves.
    """

    def __init__(
        self, infer: Callable[[Sequence[Array]], Array], size: int, wait_ms: float, *, threads: int = 1
    ) -> None:
        """``threads``: model calls that may run at once; each uses one core."""
        self._infer, self._size, self._wait = infer, size, wait_ms / 1000
        # Not a SimpleQueue: its get(timeout) may wait for ever when another thread takes the item that woke it.
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self.threads = [
            threading.Thread(target=self._run, name=f"batcher-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def submit(self, image: Array) -> "Future[Array]":
        """The image's probabilities, later."""
        future: Future[Array] = Future()
        self._jobs.put((image, future))
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

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """A batch that starts with ``first``, and whether the end came behind it."""
        batch, until = [first], time.monotonic() + self._wait
        while len(batch) < self._size:
            try:
                job = self._jobs.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _resolve(self, batch: list[_Job]) -> None:
        """Infer; when that fails, each image by itself, so that a bad one does not fail its neighbours."""
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
