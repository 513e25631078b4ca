"""A queue whose sends and deletions of many threads go to SQS in batches: a call costs the same for one as for ten."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from botocore.exceptions import ClientError

from skylens.aws import LONG_POLL
from skylens.aws_errors import is_gone
from skylens.gather import Gather
from skylens.queues import BATCH, Counts, Outgoing, Queue, Received, SqsQueues

BATCH_BYTES = 1_048_576
"""Most bytes of one batch. Where SQS, or an imitation, takes only a quarter of it, the queue halves what is refused."""


class GatheredQueue:
    """A ``Queue`` in front of another one. ``more``: whether other callers are expected within the linger times."""

    def __init__(
        self, queue: Queue, more: Callable[[], bool], *, send_linger: float = 0.0, delete_linger: float = 0.0
    ) -> None:
        """``send_linger``, ``delete_linger``: most seconds that a call waits for others."""
        self._queue = queue
        self._sends = Gather(queue.send_many, most=BATCH, linger=send_linger, more=more, heaviest=BATCH_BYTES)
        self._deletes = Gather(self._delete, most=BATCH, linger=delete_linger, more=more)

    def send(self, body: bytes, group: str = "") -> None:
        self._sends.do(Outgoing(body, group), len(body))

    def send_many(self, messages: Sequence[Outgoing]) -> list[Exception | None]:
        return self._queue.send_many(messages)

    def receive(self, most: int, wait: int = LONG_POLL) -> list[Received]:
        return self._queue.receive(most, wait)

    def delete(self, receipts: Sequence[str]) -> None:
        if len(receipts) == 1:
            self._deletes.do(receipts[0])
        else:
            self._queue.delete(receipts)

    def _delete(self, receipts: list[str]) -> list[Exception | None]:
        self._queue.delete(receipts)
        return [None] * len(receipts)

    def extend(self, receipts: Sequence[str], seconds: int) -> None:
        self._queue.extend(receipts, seconds)

    def counts(self) -> Counts:
        return self._queue.counts()


class Outbox:
    """Sends to a queue, many threads' messages in one call, by threads that are not theirs."""

    def __init__(self, queue: Queue, calls: Executor, more: Callable[[], bool], *, linger: float = 0.0) -> None:
        """``more``: whether other senders are expected within ``linger`` seconds, which a call waits at most."""
        self._calls = calls
        self._sends = Gather(queue.send_many, most=BATCH, linger=linger, more=more, heaviest=BATCH_BYTES)

    def send(self, body: bytes, group: str = "") -> Callable[[], None]:
        """Begin to send. What is returned waits for the end, and raises what went wrong."""
        return self._sends.begin(Outgoing(body, group), self._calls, len(body))


class GatheredReplies:
    """Reply queues by name, each gathering what many threads send to it."""

    def __init__(self, queues: SqsQueues, more: Callable[[], bool], *, linger: float) -> None:
        """``more`` and ``linger`` as in ``GatheredQueue``."""
        self._queues, self._more, self._linger = queues, more, linger
        self._lock = threading.Lock()
        self._found: dict[str, GatheredQueue] = {}

    def send(self, name: str, body: bytes) -> bool:
        """False when that queue is gone: its owner has left."""
        try:
            self._named(name).send(body)
        except ClientError as error:
            if not is_gone(error):
                raise
            with self._lock:
                self._found.pop(name, None)
            self._queues.forget(name)
            return False
        return True

    def _named(self, name: str) -> GatheredQueue:
        with self._lock:
            if name not in self._found:
                self._found[name] = GatheredQueue(self._queues.named(name), self._more, send_linger=self._linger)
            return self._found[name]
