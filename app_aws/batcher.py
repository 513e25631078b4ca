"""Gathers images that arrive at about the same time into one call of the model."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from app_aws.engine import Array


class _Job:
    """One image on its way. ``woken``: released once it is done, or is to lead."""

    __slots__ = ("error", "found", "image", "leads", "woken")

    def __init__(self, image: Array) -> None:
        self.image, self.leads = image, False
        self.found: Array | None = None
        self.error: BaseException | None = None
        self.woken = threading.Lock()
        self.woken.acquire()


class Batcher:
    """Owns no thread: who comes while a call is free leads. It takes what waits and infers it.

    Then it hands its call on to the next that waits, and wakes those whose images it took. Whatever ends a leader, its
    call is handed on, and those get its error.
    """

    def __init__(self, infer: Callable[[Sequence[Array]], Array], size: int, wait_ms: float, *, calls: int = 1) -> None:
        """``size``: most images a call; ``wait_ms``: for how long one that is not full waits; ``calls``: at once."""
        self._infer, self._size, self._wait, self._free = infer, size, wait_ms / 1000, calls
        self._lock = threading.Lock()
        self._company = threading.Condition(self._lock)
        self._waiting: deque[_Job] = deque()

    def infer(self, image: Array) -> Array:
        """The image's probabilities. Raises what the model raised for this image."""
        job = _Job(image)
        with self._lock:
            if self._free:
                self._free -= 1
                job.leads = True
            else:
                self._waiting.append(job)
                if self._wait:
                    self._company.notify()
        if not job.leads:
            job.woken.acquire()
        if job.leads:
            self._lead(job)
        if job.found is None:
            raise job.error or RuntimeError("the model gave nothing for this image")
        return job.found

    def waiting(self) -> int:
        """How many images wait for a call."""
        return len(self._waiting)

    def _lead(self, job: _Job) -> None:
        batch = [job]
        try:
            self._gather(batch)
            self._resolve(batch)
        except BaseException as error:
            for one in batch:
                one.error = one.error or error
            raise
        finally:
            self._hand_on()
            for one in batch[1:]:
                one.woken.release()

    def _gather(self, batch: list[_Job]) -> None:
        with self._lock:
            until = time.monotonic() + self._wait
            while len(batch) < self._size:
                if self._waiting:
                    batch.append(self._waiting.popleft())
                elif (left := until - time.monotonic()) <= 0 or not self._company.wait(left):
                    return

    def _hand_on(self) -> None:
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            following = self._waiting.popleft()
        following.leads = True
        following.woken.release()

    def _resolve(self, batch: list[_Job]) -> None:
        """Infer; when that fails, each image by itself, so that a bad one does not fail its neighbours."""
        try:
            found = self._infer([one.image for one in batch])
        except Exception as error:  # noqa: BLE001 - goes to whoever has the image
            if len(batch) == 1:
                batch[0].error = error
            else:
                for one in batch:
                    self._resolve([one])
            return
        for one, probabilities in zip(batch, found, strict=True):
            one.found = probabilities
