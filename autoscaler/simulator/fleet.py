"""The simulated instances: their lives, and what they cost."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from autoscaler.simulator.model import Model
from autoscaler.simulator.work import Slot
from skylens.messages import Worker

_BOOT, _DEATH = 1, 2
_RECENT_BOOTS = 20

State = Literal["pending", "busy", "idle", "draining"]


@dataclass(slots=True)
class Instance:
    """Times in seconds since the trace began."""

    number: int
    launched: float
    ready_at: float
    dies_at: float
    slots: list[Slot] = field(default_factory=list)
    """Its slots, once they take no more requests."""

    @property
    def worked_until(self) -> float:
        """When its last work ends; what it works on counts as work until then."""
        return max((slot.free for slot in self.slots if slot.request >= 0), default=0.0)

    def busy(self, now: float) -> int:
        return sum(slot.free > now for slot in self.slots)

    def worker(self, state: State, now: float, in_flight: int = 0) -> Worker:
        return Worker(instance=str(self.number), state=state, age=now - self.launched, in_flight=in_flight)


class Fleet:
    """Who is coming, ready, leaving or gone. The n-th launch has the same boot time and lifetime under any policy."""

    def __init__(self, model: Model, seconds: float) -> None:
        """``seconds``: length of the trace; idle instances are paid for until then."""
        self._model, self._seconds = model, seconds
        self._boot_rng = np.random.default_rng([model.seed, _BOOT])
        self._death_rng = np.random.default_rng([model.seed, _DEATH])
        self._boots: deque[float] = deque(maxlen=_RECENT_BOOTS)
        self.coming: dict[int, Instance] = {}
        self.ready: dict[int, Instance] = {}
        """In the order in which they got ready."""
        self.leaving: dict[int, Instance] = {}
        self.launches = self.deaths = 0
        self.instance_seconds = self.billed_seconds = 0.0
        self._number = 0

    def __len__(self) -> int:
        """How many are not gone."""
        return len(self.coming) + len(self.ready) + len(self.leaving)

    @property
    def active(self) -> int:
        return len(self.coming) + len(self.ready)

    def all(self) -> Iterator[Instance]:
        for some in (self.coming, self.ready, self.leaving):
            yield from some.values()

    def launch(self, now: float) -> Instance:
        self.launches += 1
        return self._add(now, float(self._model.boot.draw(self._boot_rng, 1)[0]))

    def place(self) -> Instance:
        """One that is ready from the start, and no launch of the policy's."""
        return self._add(0.0, 0.0)

    def _add(self, now: float, boot: float) -> Instance:
        lifetime = float("inf")
        if self._model.deaths_per_hour:
            lifetime = float(self._death_rng.exponential(3600 / self._model.deaths_per_hour))
        ready_at = now + boot
        made = Instance(self._number, now, ready_at, ready_at + lifetime)
        self.coming[made.number] = made
        self._number += 1
        return made

    def get_ready(self, number: int) -> Instance:
        instance = self.ready[number] = self.coming.pop(number)
        if instance.ready_at:
            self._boots.append(instance.ready_at - instance.launched)
        return instance

    def drain(self, number: int, slots: list[Slot]) -> Instance:
        """One that is coming or ready, whose ``slots`` take no more requests."""
        instance = self.leaving[number] = (self.coming if number in self.coming else self.ready).pop(number)
        instance.slots = slots
        return instance

    def end(self, number: int, now: float) -> None:
        """Pay for an instance that goes, or that is still up at the end of the run.

        All policies pay up to the same end, that of the trace; beyond it only for as long as there was work.
        """
        instance = self._pop(number)
        until = min(now, max(self._seconds, instance.worked_until))
        lasted = max(0.0, until - instance.launched)
        self.instance_seconds += lasted
        self.billed_seconds += max(lasted, self._model.minimum_bill)

    def _pop(self, number: int) -> Instance:
        return next(some.pop(number) for some in (self.coming, self.ready, self.leaving) if number in some)

    def boot_seconds(self) -> float:
        """The 90th percentile (nearest rank) of the last boots; 0 until one was measured."""
        boots = sorted(self._boots)
        return boots[-(-9 * len(boots) // 10) - 1] if boots else 0.0
