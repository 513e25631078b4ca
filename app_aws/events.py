"""Tells the autoscaler how this worker is doing."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Literal

from app_aws.tally import Tally
from skylens import logs
from skylens.clock import Clock
from skylens.messages import WorkerEvent, encode
from skylens.queues import Queue

log = logs.get(__name__)
Kind = Literal["launched", "ready", "heartbeat", "draining", "stopped"]
LEAST_PAUSE = 1.0
"""Seconds between two heartbeats when the worker turns busy and idle quickly."""


class Events:
    """Sends events in order, heartbeats from ``ready`` on, and one early when the worker turns busy or idle.

    Thread ``events``: owned by ``main``, a daemon; it ends after ``stopped`` was sent or failed to be. Nobody waits for
    it except ``close``, for a bounded time. If it dies, work goes on and the autoscaler judges the worker by its age.
    """

    def __init__(
        self,
        queue: Queue,
        instance: str,
        tally: Tally,
        clock: Clock,
        heartbeat_seconds: float,
        cpu: Callable[[], float | None],
    ) -> None:
        """``cpu``: percent of the processors that were busy since it was last asked, None if unknown."""
        self._queue, self._instance, self._tally, self._clock, self._cpu = queue, instance, tally, clock, cpu
        self._every = heartbeat_seconds
        self._news = threading.Condition()
        self._outbox: deque[tuple[Kind, str]] = deque()
        self._beating = False
        self._last_beat = self._next_beat = 0.0
        self.thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def say(self, kind: Kind, reason: str = "") -> None:
        """Send soon, after what was said before."""
        with self._news:
            self._outbox.append((kind, reason))
            self._news.notify()

    def turned(self) -> None:
        """The worker turned busy or idle: say so at once, or as soon as the last heartbeat is old enough."""
        with self._news:
            self._next_beat = min(self._next_beat, max(self._clock.ticks(), self._last_beat + LEAST_PAUSE))
            self._news.notify()

    def close(self, reason: str, timeout: float) -> None:
        """Say ``stopped`` and wait at most ``timeout`` seconds for it to be sent."""
        self.say("stopped", reason)
        self.thread.join(timeout)

    def _run(self) -> None:
        kind: Kind = "launched"
        while kind != "stopped":
            kind, reason = self._next()
            self._send(kind, reason)

    def _next(self) -> tuple[Kind, str]:
        """Wait for what is to be said next."""
        with self._news:
            while not self._outbox:
                left = self._next_beat - self._clock.ticks() if self._beating else None
                if left is not None and left <= 0:
                    return "heartbeat", ""
                self._news.wait(left)
            return self._outbox.popleft()

    def _send(self, kind: Kind, reason: str) -> None:
        with self._news:
            self._beating = self._beating or kind == "ready"
            self._last_beat = self._clock.ticks()
            self._next_beat = self._last_beat + self._every
        count, cpu = self._tally.count(), self._cpu()
        event = WorkerEvent(
            kind=kind,
            instance=self._instance,
            at=self._clock.now(),
            in_flight=count.in_flight,
            slots=count.slots,
            done=count.done,
            service_times=self._tally.take_service_times(),
            reason=reason,
            cpu=cpu if kind == "heartbeat" else None,  # loading the model, or leaving, says nothing of the work
        )
        try:
            self._queue.send(encode(event))
        except Exception as error:  # noqa: BLE001 - whatever fails here must never hurt work
            log.warning("event.not_sent", kind=kind, error=str(error))
