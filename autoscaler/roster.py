"""Every instance that is not gone, as EC2 shows it and as its worker tells."""

import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from autoscaler.experience import Experience, Lessons
from autoscaler.fleets import Look
from autoscaler.member import SILENT, Member, Pulse, state, worker
from skylens.clock import Clock
from skylens.instances import ALIVE, Instance
from skylens.messages import Worker, WorkerEvent

LOST = 300.0
"""Seconds of silence after which a running instance is given up."""
UNSEEN = 300.0
"""How long EC2 may not show an instance that is alive: after its launch, or in a moment of inconsistency."""
AHEAD = 5.0
"""Most seconds by which a worker's clock is believed to be before SQS's: what is dated later counts as of then, so that
no wrong date keeps later words from being heard."""
STRANGERS = 10_000
"""Most names, beside the members', that are kept for when EC2 shows them: a worker may say any."""
GRACE = 60.0
"""Seconds after a launch within which all must be heard, for its missing ``ready`` to mean anything."""

_SILENCE = Pulse()
"""Of a worker that was never heard; never written to."""


class Overdue(NamedTuple):
    never_ready: list[str]
    lost: list[str]


class Told(NamedTuple):
    """``percent``: mean of what workers told; ``age``: seconds since the oldest of these words."""

    percent: float
    age: float


@dataclass
class Roster:
    """Shared by the loop (looks, launches, drains) and the listener's thread (events), under one lock.

    A look that fails changes nothing, so nobody is forgotten while EC2 is silent.
    """

    clock: Clock
    longest_boot: float = 600.0
    """Seconds. What took longer was no boot: the worker was up before and is heard only now, or tells a wrong time."""
    _looked: float = 0.0
    _members: dict[str, Member] = field(default_factory=dict)
    _pulses: dict[str, Pulse] = field(default_factory=dict)
    _experience: Experience = field(default_factory=Experience)
    _coming: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def launched(self, launches: Mapping[str, float]) -> None:
        """Count instances (id -> Unix seconds of the launch call) from now on, although EC2 may not show them.

        They may be launched just now, or taken over from who acted before: whatever their age, EC2 gets its time to
        show them.
        """
        with self._lock:
            now = self.clock.now()
            for one, at in launches.items():
                self._members.setdefault(one, Member(at, missing=now)).missing = now

    def members(self) -> list[str]:
        with self._lock:
            return list(self._members)

    def launches(self) -> dict[str, float]:
        """Every member (id -> Unix seconds of its launch), as ``launched`` takes them."""
        with self._lock:
            return {one: member.launched for one, member in self._members.items()}

    def drained(self, ids: Iterable[str]) -> None:
        with self._lock:
            for one in ids:
                self._members[one].draining, self._members[one].drained = True, self.clock.now()

    def ended(self, one: str) -> None:
        with self._lock:
            self._members[one].ended = True

    def look(self, look: Look) -> None:
        """Take in what EC2 shows. Gone is who EC2 says is terminated, or who it has not shown for ``UNSEEN``.

        After as long without a look it starts over: EC2 forgets who ended meanwhile, and shows the others. Only those
        that ``launched`` named since then are waited for.
        """
        with self._lock:
            now, known = self.clock.now(), {instance.id: instance for instance in look.instances}
            self._coming = look.coming
            if now - self._looked > UNSEEN:
                self._members = {one: member for one, member in self._members.items() if member.missing is not None}
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
        self._members.setdefault(one, Member(instance.launched, missing=None)).show(instance, self.clock.now())
        self._measure(one)

    def _miss(self, one: str, now: float) -> None:
        member = self._members[one]
        member.missing = now if member.missing is None else member.missing
        if now - member.missing > UNSEEN:
            del self._members[one]

    def hear(self, event: WorkerEvent, sent: float) -> None:
        """Take in a worker's event; it may come late, twice or out of order. ``sent``: Unix seconds by SQS's clock."""
        event = msgspec.structs.replace(event, at=min(event.at, sent + AHEAD))
        with self._lock:
            if len(self._pulses) - len(self._members) > STRANGERS:
                self._pulses = {one: pulse for one, pulse in self._pulses.items() if one in self._members}
            pulse = self._pulses.setdefault(event.instance, Pulse())
            pulse.note_ready(event, sent)
            pulse.heard = max(sent, pulse.heard)
            if event.kind == "ready":
                self._measure(event.instance)
            if event.at > pulse.at:
                pulse.hear(event, sent)
                if event.instance in self._members:  # of no other is it known that there is one
                    self._experience.worked(event.service_times, event.slots, sent)

    def _measure(self, one: str) -> None:
        """Note the boot time once both its ends are known."""
        member, pulse = self._members.get(one), self._pulses.get(one)
        if member and pulse and pulse.ready is not None and not member.measured:
            member.measured = True
            boot = pulse.ready - member.launched
            if boot <= self.longest_boot:
                self._experience.booted(boot, pulse.ready)

    def workers(self) -> tuple[Worker, ...]:
        with self._lock:
            now, pulses = self.clock.now(), self._pulses
            coming = [Worker(instance="", state="pending", age=0.0)] * self._coming
            return (
                *[worker(one, member, pulses.get(one, _SILENCE), now) for one, member in self._members.items()],
                *coming,
            )

    def cpu(self) -> Told | None:
        """Over the able workers that told it lately; None when none did."""
        with self._lock:
            now, told, oldest = self.clock.now(), [], math.inf
            for one, member in self._members.items():
                pulse = self._pulses.get(one, _SILENCE)
                if pulse.cpu is not None and state(member, pulse, now) in {"busy", "idle"}:
                    told.append(pulse.cpu)
                    oldest = min(oldest, pulse.heard)
        return Told(sum(told) / len(told), max(0.0, now - oldest)) if told else None

    def overdue(self, boot_timeout: float, hearing: float) -> Overdue:
        """Instances that EC2 shows as up but that never got ready in time, or fell silent for ``LOST``.

        A worker that starts anew was ready before: it has as long as any other, whatever its instance's age.
        ``hearing``: seconds for which all workers could be heard without a break; silence before that proves nothing:
        who was launched before may have been ready then.
        """
        with self._lock:
            now, never, lost = self.clock.now(), [], []
            for one, member in self._members.items():
                if member.ended or member.state not in {"pending", "running"}:
                    continue
                pulse = self._pulses.get(one, _SILENCE)
                if pulse.first_up < math.inf:
                    lost.extend([one] * (min(hearing, now - pulse.heard) > LOST))
                elif (age := now - member.launched) > boot_timeout and hearing > max(SILENT, min(LOST, age - GRACE)):
                    never.append(one)
            return Overdue(never, lost)

    def boot_seconds(self, default: float) -> float:
        """The 90th percentile of the recent boots, or ``default`` until one was measured."""
        with self._lock:
            return self._experience.boot_seconds(default)

    def service_seconds(self) -> float:
        """Mean seconds of work per image as the workers tell; 0 until one told."""
        with self._lock:
            return self._experience.service_seconds()

    def slots(self) -> int:
        with self._lock:
            return self._experience.slots

    def measured_at(self) -> tuple[float | None, float | None]:
        """Unix seconds of the latest boot and of the latest service time; None for one that was never measured."""
        with self._lock:
            return self._experience.boots_at, self._experience.service_at

    def learned(self) -> Lessons:
        with self._lock:
            return self._experience.learned()

    def learn(self, lessons: Lessons) -> None:
        """Take what was learned before in place of what is known."""
        with self._lock:
            self._experience.learn(lessons)
