"""Takes requests from the queue, as many as will be worked on at once or very soon, and hands each to a thread."""

import queue
import threading
from collections.abc import Callable

from app_aws import suspects
from app_aws.backoff import Backoff
from app_aws.leases import Leases
from app_aws.tally import Tally
from skylens import logs
from skylens.aws_errors import AWS_ERRORS, explain, is_hopeless, is_passing
from skylens.clock import Clock
from skylens.errors import let_go
from skylens.queues import BATCH, Queue, Received

log = logs.get(__name__)
POLL_SECONDS = 2
"""Length of a long poll. A running poll cannot be called back, and a message given to a poll that nobody reads any
more hides for its visibility timeout. So a leaving worker waits for its poll, this long at most, while it finishes its
work, and hands back at once what the poll still brings. The short poll costs about half a dollar a month per worker."""
_LOOK_SECONDS = 1.0


class Receiver:
    """The receive loop and the slots.

    Threads, owned by the worker, all daemons: ``receiver`` polls until ``stop``, then ends after at most one poll;
    ``image-N`` each take one image from work to deletion until the receiver has ended: as many as may be in flight, of
    which as many as there are slots work, and a few wait for a slot. If any dies, what it held is not deleted and
    reappears on the queue; the worker sees the dead thread and leaves.

    Images received before are worked alone; ``app_aws.suspects`` says how and why.
    """

    def __init__(
        self,
        requests: Queue,
        handle: Callable[[Received, Callable[[], None]], bool],
        tally: Tally,
        leases: Leases,
        turned: Callable[[], None],
        clock: Clock,
        backoff: Backoff,
    ) -> None:
        """``handle`` answers one delivery, and calls what it is given once that needs no slot any more.

        ``turned`` is called when the worker turns busy or idle.
        """
        self._requests, self._handle, self._tally, self._leases = requests, handle, tally, leases
        self._turned, self._clock, self._backoff = turned, clock, backoff
        self._jobs: queue.SimpleQueue[Received | None] = queue.SimpleQueue()
        self._suspects: list[Received] = []
        self._wary = False
        """A suspect was in the last receive: one message at a time, and only when nothing is in work."""
        self._stopping = threading.Event()
        self._images = [
            threading.Thread(target=self._work, name=f"image-{number}", daemon=True) for number in range(tally.held)
        ]
        self._poller = threading.Thread(target=self._receive, name="receiver", daemon=True)
        self.threads = [*self._images, self._poller]

    def start(self) -> None:
        """Those that poll come last: where not all can start, nothing was taken yet."""
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Take no more."""
        self._stopping.set()

    def finished(self, timeout: float) -> bool:
        """Whether, after ``stop``, the last poll is back and everything taken is answered."""
        if self._poller.ident is None:  # never started
            return True
        self._poller.join(timeout)
        return not self._poller.is_alive() and self._tally.settled(timeout)

    def _receive(self) -> None:
        while not self._stopping.wait(self._backoff.seconds()):
            try:
                self._round()
            except Exception as error:  # the loop outlives whatever a call raises
                self._backoff.trouble()
                if is_passing(error):
                    self._tally.touch()
                log.warning("receive.failed", error=explain(error), exc_info=not is_passing(error))
        for one in self._suspects:
            self._renew(one, suspects.marked(one.body))
        for _ in self._images:
            self._jobs.put(None)

    def _round(self) -> None:
        """One step: hand suspects back, wait, start the one that stayed, or receive. ``suspects`` says why."""
        while len(self._suspects) > 1:
            if not self._renew(self._suspects[-1], suspects.marked(self._suspects[-1].body)):
                self._backoff.trouble()
                self._tally.touch()
                return
            self._suspects.pop()
        if self._wary and (not self._tally.settled(_LOOK_SECONDS) or self._stopping.is_set()):
            return
        if self._suspects:
            self._start([self._suspects.pop()])
        elif free := self._tally.free(_LOOK_SECONDS):
            asked = 1 if self._wary else min(free, BATCH)
            found = self._requests.receive(asked, POLL_SECONDS)
            self._tally.supplied(asked, len(found))
            self._take(found)

    def _take(self, found: list[Received]) -> None:
        if not found:
            self._backoff.well()
        firsts, self._suspects = suspects.split(found)
        self._wary = bool(self._suspects)
        self._leases.hold([one.receipt for one in self._suspects])
        if firsts and self._stopping.is_set():
            self._requests.extend([one.receipt for one in firsts], 0)
        elif firsts:
            self._start(firsts)

    def _start(self, found: list[Received]) -> None:
        self._leases.hold([one.receipt for one in found])
        if self._tally.take(len(found)):
            self._turned()
        for one in found:
            self._jobs.put(one)

    def _work(self) -> None:
        while (received := self._jobs.get()) is not None:
            self._tally.enter()
            slot = _Slot(self._tally, self._clock)
            answered = self._one(received, slot.worked)
            slot.leave(None)
            self._leases.let_go(received.receipt)
            if self._tally.give_back(answered=answered):
                self._turned()

    def _renew(self, received: Received, body: bytes) -> bool:
        """Queue the request anew, so that its receives are counted from one again; False when AWS did not take it.

        A crash between the two calls leaves two copies, of which the first stored outcome counts.
        """
        try:
            self._requests.send(body, suspects.tenant(received.body))
        except AWS_ERRORS as error:
            log.warning("image.not_renewed", error=explain(error))
            return False
        self._leases.let_go(received.receipt)
        try:
            self._requests.delete([received.receipt])
        except AWS_ERRORS as error:
            log.warning("image.renewed_twice", error=explain(error))
        return True

    def _one(self, received: Received, worked: Callable[[], None]) -> bool:
        """Whether an image was answered. On any trouble the request stays, to be tried again later."""
        try:
            answered = self._handle(received, worked)
        except AWS_ERRORS as error:
            self._backoff.trouble()
            log.warning("image.aws_trouble", error=explain(error), receives=received.receives, exc_info=True)
            if received.receives > 1 and not self._is_hopeless(received, error):
                self._renew(received, suspects.plain(received.body))
            let_go(error)  # the image is in a frame of its traceback
            return False
        except Exception as error:  # a fault of ours, or an image that breaks us: the dead-letter queue decides
            log.exception("image.broke", receives=received.receives)
            let_go(error)
            return False
        self._backoff.well()
        return answered

    def _is_hopeless(self, received: Received, error: BaseException) -> bool:
        """Whether its receives may run out. Else AWS's trouble must not use up what tells a poisonous image."""
        return is_hopeless(error) or suspects.is_overdue(received.body, self._clock.now())


class _Slot:
    """One image's slot, left once. Used by one thread."""

    def __init__(self, tally: Tally, clock: Clock) -> None:
        self._tally, self._clock, self._began, self._left = tally, clock, clock.ticks(), False

    def worked(self) -> None:
        self.leave(self._clock.ticks() - self._began)

    def leave(self, seconds: float | None) -> None:
        if not self._left:
            self._left = True
            self._tally.leave(seconds)
