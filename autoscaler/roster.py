"""Every instance that is not gone, as EC2 shows it and as its worker tells."""

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from skylens.clock import Clock
from skylens.instances import ALIVE, Instance
from skylens.messages import Worker, WorkerEvent

HEARTBEAT = 5.0
"""Seconds between two heartbeats of a worker by default."""
SILENT = 4 * HEARTBEAT
"""Seconds after which a worker's last word on its work is no longer believed."""
LOST = 300.0
"""Seconds of silence after which a running instance is given up."""
UNSEEN = 300.0
"""How long EC2 may not show an instance that is alive: after its launch, or in a moment of inconsistency."""
GRACE = 60.0
"""Seconds of listening before a missing ``ready`` means anything."""
DEFAULT_SLOTS = 4
RECENT_BOOTS, RECENT_SERVICE_TIMES = 20, 500

State = Literal["pending", "booting", "ready", "busy", "idle", "draining", "stopping"]


@dataclass
class _Member:
    """``state``: EC2's word, empty until EC2 shows it; ``missing``: since when EC2 does not, None if it does."""

    launched: float
    missing: float | None
    state: str = ""
    draining: bool = False
    ended: bool = False
    measured: bool = False


@dataclass
class _Pulse:
    """The last word of one worker. ``at``: by its own clock; ``heard``, ``ready``: by SQS's; Unix seconds."""

    at: float = 0.0
    heard: float = 0.0
    ready: float | None = None
    up: bool = False
    draining: bool = False
    stopped: bool = False
    in_flight: int = 0
    done: int = 0


class Overdue(NamedTuple):
    never_ready: list[str]
    lost: list[str]


@dataclass
class Roster:
    """Shared by the loop (looks, launches, drains) and the listener's thread (events), under one lock.

    A look that fails changes nothing, so nobody is forgotten while EC2 is silent.
    """

    clock: Clock
    _looked: float = 0.0
    _members: dict[str, _Member] = field(default_factory=dict)
    _pulses: dict[str, _Pulse] = field(default_factory=dict)
    _boots: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_BOOTS))
    _service: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_SERVICE_TIMES))
    _slots: int = DEFAULT_SLOTS
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def launched(self, launches: Mapping[str, float]) -> None:
        """Count instances (id -> Unix seconds of the launch call) from now on, although EC2 may not show them yet."""
        with self._lock:
            for one, at in launches.items():
                self._members.setdefault(one, _Member(at, missing=at))

    def members(self) -> list[str]:
        with self._lock:
            return list(self._members)

    def unseen(self) -> dict[str, float]:
        """Launched instances that EC2 has not shown yet, as ``launched`` takes them."""
        with self._lock:
            return {one: member.launched for one, member in self._members.items() if not member.state}

    def drained(self, ids: Iterable[str]) -> None:
        with self._lock:
            for one in ids:
                self._members[one].draining = True

    def ended(self, one: str) -> None:
        with self._lock:
            self._members[one].ended = True

    def look(self, shown: Iterable[Instance]) -> None:
        """Take in what EC2 shows. Gone is who EC2 says is terminated, or who it has not shown for ``UNSEEN``.

        After as long without a look it starts over: EC2 forgets who ended meanwhile, and shows the others.
        """
        with self._lock:
            now, known = self.clock.now(), {instance.id: instance for instance in shown}
            if now - self._looked > UNSEEN:
                self._members = {one: member for one, member in self._members.items() if not member.state}
            self._looked = now
            for one, instance in known.items():
                self._show(one, instance)
            for one in self._members.keys() - known.keys():
                self._miss(one, now)
            for one in self._pulses.keys() - self._members.keys():
                if now - self._pulses[one].heard > UNSEEN:
                    del self._pulses[one]

    def _show(self, one: str, instance: Instance) -> None:
        if instance.state not in ALIVE:
            self._members.pop(one, None)
            return
        member = self._members.setdefault(one, _Member(instance.launched, missing=None))
        member.state, member.missing = instance.state, None
        member.draining = member.draining or instance.draining
        self._measure(one)

    def _miss(self, one: str, now: float) -> None:
        member = self._members[one]
        member.missing = now if member.missing is None else member.missing
        if now - member.missing > UNSEEN:
            del self._members[one]

    def hear(self, event: WorkerEvent, sent: float) -> None:
        """Take in a worker's event; it may come late, twice or out of order. ``sent``: Unix seconds by SQS's clock."""
        with self._lock:
            pulse = self._pulses.setdefault(event.instance, _Pulse())
            if event.kind == "ready" and pulse.ready is None:
                pulse.ready = sent
                self._measure(event.instance)
            if event.at <= pulse.at:
                return
            pulse.at, pulse.heard = event.at, max(sent, pulse.heard)
            pulse.in_flight, pulse.done = event.in_flight, event.done
            pulse.up = event.kind != "launched"
            pulse.stopped = event.kind == "stopped"
            pulse.draining = event.kind == "draining" or (event.kind == "heartbeat" and pulse.draining)
            self._slots = event.slots or self._slots
            self._service.extend(event.service_times)

    def _measure(self, one: str) -> None:
        """Note the boot time once both its ends are known."""
        member, pulse = self._members.get(one), self._pulses.get(one)
        if member and pulse and pulse.ready is not None and not member.measured:
            member.measured = True
            self._boots.append(max(0.0, pulse.ready - member.launched))

    def workers(self) -> tuple[Worker, ...]:
        with self._lock:
            return tuple(self._worker(one, member) for one, member in self._members.items())

    def _worker(self, one: str, member: _Member) -> Worker:
        pulse, now = self._pulses.get(one, _Pulse()), self.clock.now()
        return Worker(
            instance=one,
            state=_state(member, pulse, now),
            age=max(0.0, now - member.launched),
            in_flight=pulse.in_flight,
            done=pulse.done,
        )

    def overdue(self, boot_timeout: float, hearing: float) -> Overdue:
        """Instances that EC2 shows as up but that never got ready in time, or fell silent for ``LOST``.

        ``hearing``: seconds for which all workers could be heard without a break; silence before that proves nothing.
        """
        with self._lock:
            now, never, lost = self.clock.now(), [], []
            for one, member in self._members.items():
                if member.ended or member.state not in {"pending", "running"}:
                    continue
                pulse = self._pulses.get(one, _Pulse())
                if pulse.up:
                    lost.extend([one] * (min(hearing, now - pulse.heard) > LOST))
                elif hearing > GRACE and now - member.launched > boot_timeout:
                    never.append(one)
            return Overdue(never, lost)

    def boot_seconds(self, default: float) -> float:
        """The 90th percentile of the recent boots, or ``default`` until one was measured."""
        with self._lock:
            boots = sorted(self._boots)
        return boots[-(-9 * len(boots) // 10) - 1] if boots else default

    def service_seconds(self) -> float:
        """Mean seconds of work per image as the workers tell; 0 until one told."""
        with self._lock:
            return sum(self._service) / len(self._service) if self._service else 0.0

    def slots(self) -> int:
        with self._lock:
            return self._slots


def _state(member: _Member, pulse: _Pulse, now: float) -> State:
    """A worker heard of lately is busy or idle; one that fell silent is merely ``ready``."""
    if member.ended or pulse.stopped or member.state in {"shutting-down", "stopping", "stopped"}:
        return "stopping"
    if member.draining or pulse.draining:
        return "draining"
    if pulse.up:
        heard = now - pulse.heard <= SILENT
        return ("busy" if pulse.in_flight else "idle") if heard else "ready"
    return "booting" if member.state == "running" else "pending"
