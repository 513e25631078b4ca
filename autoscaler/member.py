"""One instance: what EC2 shows of it, what its worker tells, and what both make of it."""

import math
from dataclasses import dataclass
from typing import Literal

from skylens.instances import Instance
from skylens.messages import Worker, WorkerEvent

HEARTBEAT = 5.0
"""Seconds between two heartbeats of a worker by default."""
SILENT = 4 * HEARTBEAT
"""Seconds after which a worker's last word on its work is no longer believed."""
TAGGED = 60.0
"""Seconds within which EC2 shows a tag."""

State = Literal["pending", "booting", "ready", "busy", "idle", "draining", "stopping"]


@dataclass(slots=True)
class Member:
    """``state``: EC2's word, empty until EC2 shows it; ``missing``: since when EC2 does not, None if it does."""

    launched: float
    missing: float | None
    state: str = ""
    draining: bool = False
    drained: float = 0.0
    """When it was told to leave, Unix seconds."""
    resident: bool = False
    type: str = ""
    spot: bool = False
    ended: bool = False
    measured: bool = False

    def show(self, instance: Instance, now: float) -> None:
        """Take in what EC2 shows. A tag that it does not show for ``TAGGED`` was not set: EC2 did not know it yet."""
        self.state, self.missing = instance.state, None
        self.draining = instance.draining or (self.draining and now - self.drained <= TAGGED)
        self.resident = self.resident or instance.resident
        self.type, self.spot = instance.type, instance.spot


@dataclass(slots=True)
class Pulse:
    """The last word of one worker. ``at``, ``first_up``: by its clock; ``heard``, ``ready``: by SQS's; Unix seconds."""

    at: float = 0.0
    heard: float = 0.0
    first_up: float = math.inf
    ready: float | None = None
    up: bool = False
    draining: bool = False
    stopped: bool = False
    cpu: float | None = None
    in_flight: int = 0
    done: int = 0

    def note_ready(self, event: WorkerEvent, sent: float) -> None:
        """A boot ends with the first word of a worker that is up: one that starts anew later does not boot."""
        if event.kind != "launched":
            self.first_up = min(self.first_up, event.at)
        if event.kind == "ready" and event.at == self.first_up:
            self.ready = sent

    def hear(self, event: WorkerEvent, sent: float) -> None:
        """Take in an event that is newer than the last."""
        self.at, self.heard = event.at, max(sent, self.heard)
        self.in_flight, self.done, self.cpu = event.in_flight, event.done, event.cpu
        self.up = event.kind != "launched"
        self.stopped = event.kind == "stopped"
        self.draining = event.kind == "draining" or (event.kind == "heartbeat" and self.draining)


def worker(one: str, member: Member, pulse: Pulse, now: float) -> Worker:
    """``one``: the instance's id; ``now``: Unix seconds."""
    return Worker(
        instance=one,
        state=state(member, pulse, now),
        age=max(0.0, now - member.launched),
        in_flight=pulse.in_flight,
        done=pulse.done,
        type=member.type,
        spot=member.spot,
        resident=member.resident,
        cpu=pulse.cpu if now - pulse.heard <= SILENT else None,
    )


def state(member: Member, pulse: Pulse, now: float) -> State:
    """A worker heard of lately is busy or idle; one that fell silent is merely ``ready``."""
    if member.ended or pulse.stopped or member.state in {"shutting-down", "stopping", "stopped"}:
        return "stopping"
    if member.draining or pulse.draining:
        return "draining"
    if pulse.up:
        heard = now - pulse.heard <= SILENT
        return ("busy" if pulse.in_flight else "idle") if heard else "ready"
    return "booting" if member.state == "running" else "pending"
