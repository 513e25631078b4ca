"""A worker's life from ready to gone: it watches for a reason to leave, then leaves in order."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from app_aws.events import Events
from app_aws.leases import Leases
from app_aws.lifecycle import URGENT, AutoscalerLease, Rules, reason_to_leave, wants_lease
from app_aws.receiver import Receiver
from app_aws.switch import Switch
from app_aws.tally import Tally
from skylens import logs, systemd
from skylens.clock import Clock
from skylens.systemd import Notifier

log = logs.get(__name__)
_STEP = 0.1
"""Seconds between two looks at what is still in work while draining."""
_GOODBYE = 5.0
"""Most seconds that each last thread, and the last event, is waited for."""


@dataclass(frozen=True)
class Parts:
    """What a worker is made of, built and not yet started; ``events`` runs already."""

    receiver: Receiver
    models: Switch
    leases: Leases
    events: Events
    tally: Tally


class Worker:
    """Runs in the main thread. ``leave`` may be called from anywhere, a signal handler too."""

    def __init__(
        self,
        parts: Parts,
        rules: Rules,
        lease: AutoscalerLease,
        notice: Callable[[], str | None],
        clock: Clock,
        *,
        look_seconds: float,
        patience: float,
        notifier: Notifier = systemd.NOBODY,
    ) -> None:
        """``notice`` asks the metadata, every ``look_seconds``; ``patience``: seconds of an urgent drain.

        ``notifier`` gets a sign of life at each look that finds nothing dead or hung, and all through a drain, which is
        bounded as soon as something hangs.
        """
        self._parts, self._rules, self._lease, self._notice, self._clock = parts, rules, lease, notice, clock
        self._look_seconds, self._patience, self._notifier = look_seconds, patience, notifier
        self._orders: queue.SimpleQueue[str] = queue.SimpleQueue()

    def leave(self, reason: str) -> None:
        """Ask for a drain. Only a SimpleQueue may be touched here: its ``put`` is safe inside a signal handler."""
        self._orders.put(reason)

    def run(self) -> bool:
        """Work until there is a reason to leave; True when everything taken was answered."""
        parts = self._parts
        parts.models.start()
        parts.leases.start()
        parts.tally.touch()
        parts.events.say("ready")
        self._notifier.ready("takes images")
        reason = self._look()
        if reason is None:
            parts.receiver.start()
            reason = self._wait_for_reason()
        return self._drain(reason)

    def _wait_for_reason(self) -> str:
        while True:
            self._notifier.alive()
            try:
                return self._orders.get(timeout=self._look_seconds)
            except queue.Empty:
                reason = self._look()
            if reason:
                return reason

    def _look(self) -> str | None:
        """One look at everything that may be a reason to leave."""
        dead = [thread.name for thread in self._threads() if thread.ident and not thread.is_alive()]
        dead += self._parts.models.dead()
        hung = self._parts.leases.hung()
        if dead or hung:
            log.error("worker.broken", dead=dead, hung=hung)
            return "broken"
        idle = self._parts.tally.idle()
        lease_age = self._lease.age() if wants_lease(self._rules, idle) else None
        return reason_to_leave(self._rules, self._notice(), idle, lease_age)

    def _threads(self) -> list[threading.Thread]:
        """Those without which a worker is no use, beside those of its models."""
        return [*self._parts.receiver.threads, self._parts.leases.thread]

    def _drain(self, reason: str) -> bool:
        """Take no more, finish, answer, say goodbye: in this order, each step bounded when it is urgent."""
        parts = self._parts
        log.info("worker.draining", reason=reason, in_flight=parts.tally.count().in_flight)
        self._notifier.stopping(f"draining: {reason}")
        parts.events.say("draining", reason)
        parts.receiver.stop()
        clean = self._finish(reason)
        parts.leases.stop()
        if clean:
            parts.models.stop(_GOODBYE)
        parts.events.close(reason, _GOODBYE)
        log.info("worker.stopped", reason=reason, clean=clean, done=parts.tally.count().done)
        return clean

    def _finish(self, reason: str) -> bool:
        """Wait for what is in work: for ever, but for ``patience`` seconds from when the reason became urgent."""
        looked = self._clock.ticks()
        began = looked if reason in URGENT else None
        while not self._parts.receiver.finished(_STEP):
            self._notifier.alive()
            now = self._clock.ticks()
            if began is None and now - looked >= self._look_seconds:
                looked, began = now, now if self._urgent_now() else None
            if began is not None and now - began >= self._patience:
                log.error("worker.left_work", in_flight=self._parts.tally.count().in_flight)
                return False
        return True

    def _urgent_now(self) -> bool:
        """Whether, while draining without haste, a reason to hurry has come, or an image hangs."""
        if self._parts.leases.hung():
            return True
        try:
            return self._orders.get_nowait() in URGENT
        except queue.Empty:
            return self._notice() in URGENT
