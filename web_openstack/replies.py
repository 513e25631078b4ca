"""The reply thread: takes answers from this process's own reply queue and wakes whoever waits for them.

One thread per web process, owned by ``main``. It stops when told, within one short poll. If it dies with the process,
the answers lie in the output bucket and any web node gives them out by id; the messages left in the queue are dropped
as repeats by the next process of that name, or go with the queue when it is swept.

While receives come back full, helpers poll beside it: a receive and a deletion are two round trips to AWS for at most
ten answers, which alone would bound a private side 30 ms away to 170 answers a second. Each full receive calls one of
them, for a receive that brings nothing costs as much as one that brings ten.
"""

import threading
from collections.abc import Callable
from contextlib import suppress

from skylens import logs
from skylens.aws_errors import AWS_ERRORS, explain, is_gone
from skylens.clock import Clock
from skylens.messages import Reply, read
from skylens.queues import BATCH, Queue, Received
from web_openstack.jobs import Jobs
from web_openstack.metrics import WebMetrics
from web_openstack.unstored import Unstored

log = logs.get(__name__)

POLL = 20
HIDDEN = 5
"""Seconds after which an answer comes again that was given to the poll of a process that is gone, as that of this name
before a restart. Settling takes milliseconds, and an answer that comes twice changes nothing."""
HELPERS = 3
TOUCH = 45.0
"""Seconds after its last answer until AWS counts as out of reach: two long polls and a margin."""
BACKOFF = (0.5, 10.0)
"""First and longest pause in seconds after a failed poll."""


class ReplyThread(threading.Thread):
    def __init__(
        self, own: Callable[[], Queue], jobs: Jobs, unstored: Unstored, metrics: WebMetrics, clock: Clock
    ) -> None:
        """``own``: finds this process's reply queue, or makes it; called again should the queue vanish."""
        super().__init__(name="replies", daemon=True)
        self._own, self._jobs, self._unstored, self._metrics, self._clock = own, jobs, unstored, metrics, clock
        self._queue = own()
        self._halt = threading.Event()
        self._touched, self._failing = clock.ticks(), False
        self.more = threading.BoundedSemaphore(1)
        """Free after a full receive, until a helper has taken it: there may be more."""
        self.more.acquire()

    def in_touch(self) -> bool:
        """Whether AWS answered the last poll, and lately."""
        return not self._failing and self._clock.ticks() - self._touched < TOUCH

    def halt(self) -> None:
        """Take no further answers. The thread is a daemon: a poll under way ends with the process."""
        self._halt.set()

    def run(self) -> None:
        pause = BACKOFF[0]
        while not self._halt.is_set():
            try:
                self.poll()
                pause = BACKOFF[0]
            except Exception as error:  # noqa: BLE001 - it must outlive whatever a call raises: clients wait on it
                self._note(error)
                self._halt.wait(pause)
                pause = min(pause * 2, BACKOFF[1])

    def _note(self, error: Exception) -> None:
        if not self._failing:
            log.warning("replies.failing", trouble=explain(error), exc_info=not isinstance(error, AWS_ERRORS))
        self._failing = True
        if is_gone(error):
            with suppress(*AWS_ERRORS):
                self._queue = self._own()

    def poll(self, wait: int = POLL) -> int:
        """One receive: settle each answer, then delete them; how many there were. May be called from any thread."""
        received = self._queue.receive(BATCH, wait)
        if self._failing:
            log.info("replies.recovered")
        self._touched, self._failing = self._clock.ticks(), False
        for message in received:
            self._settle(message)
        if received:
            self._queue.delete([message.receipt for message in received])
        if len(received) == BATCH:
            with suppress(ValueError):  # a helper is called already
                self.more.release()
        return len(received)

    def _settle(self, message: Received) -> None:
        try:
            reply = read(Reply, message.body)
            if self._jobs.tells(reply):
                self._unstored.add(reply, message.body.encode())
            fresh = self._jobs.settle(reply)
            if fresh and reply.result:
                self._metrics.models.note(reply.result)
        except Exception:  # one answer that breaks us must not keep the others from their clients
            log.exception("replies.unreadable", body=message.body[:500])
            self._metrics.replies.labels("unreadable").inc()
            return
        self._metrics.replies.labels("answer" if fresh else "repeat").inc()


class ReplyHelper(threading.Thread):
    """Works while the reply thread has too much to do, rests otherwise; what fails is the reply thread's to meet.

    A daemon, owned by ``main``. If it dies, answers come more slowly under load; what it held comes again.
    """

    def __init__(self, replies: ReplyThread, number: int) -> None:
        super().__init__(name=f"replies-{number}", daemon=True)
        self._replies = replies

    def run(self) -> None:
        while True:
            self._replies.more.acquire()
            self.help()

    def help(self) -> None:
        """One receive, which does not wait."""
        try:
            self._replies.poll(wait=0)
        except Exception as error:  # noqa: BLE001 - as in the reply thread
            log.debug("replies.no_help", trouble=explain(error))
