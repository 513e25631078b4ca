"""Hears the workers: drains the events queue into the roster."""

import threading

from autoscaler.roster import Roster
from autoscaler.trouble import Troubles
from skylens import logs
from skylens.clock import Clock
from skylens.errors import MessageError
from skylens.messages import WorkerEvent, read
from skylens.queues import BATCH, Queue, Received

POLL = 2
"""Seconds of one long poll: the longest that stopping takes."""
BEHIND = 30.0
"""Age in seconds of an event above which the queue is being caught up with, not heard live."""
DEAF = 15.0
"""Seconds without an answer of SQS after which the workers are not heard any more."""
HELPERS = 3
"""Threads that take events too while there are many: a thousand workers say two hundred a second."""


class Listener:
    """Threads owned by the loop's process: one that long-polls while told to ``listen``, and its helpers.

    Only the acting autoscaler may listen: two would each hear half of the events. A full batch calls the helpers, one
    that is not full sends them to rest; events may so be heard out of order, which the roster bears.
    ``stop`` ends them within one poll. If one dies between taking events and deleting them, they come again, which the
    roster bears too; ``alive`` then tells the loop, which ends the process for its service manager to start anew.
    """

    def __init__(self, queue: Queue, roster: Roster, troubles: Troubles, clock: Clock) -> None:
        self._queue, self._roster, self._troubles, self._clock = queue, roster, troubles, clock
        self._log = logs.get("autoscaler")
        self._on, self._many, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._since: float | None = None
        self._answered: float | None = None
        self._threads = [threading.Thread(target=self._run, name="events", daemon=True)]
        for number in range(HELPERS):
            self._threads.append(threading.Thread(target=self._help, name=f"events-{number}", daemon=True))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._on.set()
        self._many.set()
        for thread in self._threads:
            thread.join(2 * POLL)

    @property
    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def listen(self, *, on: bool) -> None:
        self._many.clear()
        self._since = self._answered = None
        (self._on.set if on else self._on.clear)()

    @property
    def listening(self) -> bool:
        return self._on.is_set()

    @property
    def age(self) -> float | None:
        """Seconds since SQS last answered; None when it never did."""
        answered = self._answered
        return None if answered is None else self._clock.ticks() - answered

    @property
    def hearing(self) -> float:
        """Seconds for which the workers have been heard live without a break; 0 when they are not."""
        since, age = self._since, self.age
        return 0.0 if since is None or age is None or age > DEAF else self._clock.ticks() - since

    @property
    def deaf(self) -> bool:
        age = self.age
        return self._since is None or age is None or age > DEAF

    def _run(self) -> None:
        while not self._stop.is_set():
            self._on.wait()
            if not self._stop.is_set() and not self.step(POLL):
                self._stop.wait(1)

    def _help(self) -> None:
        while not self._stop.is_set():
            if self._many.wait(POLL) and not self._stop.is_set() and not self.step():
                self._stop.wait(1)

    def step(self, wait: int = 0) -> bool:
        """Take what is there, within ``wait`` seconds; False when SQS did not answer."""
        with self._troubles.aws("events"):
            taken = self._queue.receive(BATCH, wait)
            now = self._clock.ticks()
            (self._many.set if len(taken) == BATCH and self._on.is_set() else self._many.clear)()
            late = any(self._clock.now() - each.sent > BEHIND for each in taken)
            self._since, self._answered = (now if late or self._since is None else self._since), now
            for each in taken:
                self._hear(each)
            if taken:
                self._queue.delete([each.receipt for each in taken])
            return True
        self._since = None
        return False

    def _hear(self, event: Received) -> None:
        try:
            self._roster.hear(read(WorkerEvent, event.body), event.sent)
        except MessageError as error:
            self._log.warning("events.unreadable", detail=error.detail)
