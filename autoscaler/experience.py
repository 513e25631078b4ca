"""What the workers' lives taught: how long they boot, how long an image takes, how many they take at once."""

from collections import deque
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from skylens.messages import LONGEST_WORK, Seconds, Struct

DEFAULT_SLOTS = 4
RECENT_BOOTS, RECENT_SERVICE_TIMES = 20, 500


class Lessons(Struct, frozen=True, kw_only=True):
    """What is kept across restarts; seconds. ``boots_at``, ``service_at``: Unix time of the latest, None if none."""

    boots: tuple[Seconds, ...] = ()
    boots_at: float | None = None
    service_times: tuple[Seconds, ...] = ()
    service_at: float | None = None
    slots: Annotated[int, Meta(ge=1)] = DEFAULT_SLOTS


class Experience:
    """The latest measurements. Not locked: its owner is."""

    def __init__(self) -> None:
        self.learn(Lessons())

    def learned(self) -> Lessons:
        return Lessons(
            boots=tuple(self._boots),
            boots_at=self.boots_at,
            service_times=tuple(self._service),
            service_at=self.service_at,
            slots=self.slots,
        )

    def learn(self, lessons: Lessons) -> None:
        """Take what was learned before in place of what is known."""
        self._boots = deque(lessons.boots, maxlen=RECENT_BOOTS)
        self._service = deque(lessons.service_times, maxlen=RECENT_SERVICE_TIMES)
        self.boots_at, self.service_at, self.slots = lessons.boots_at, lessons.service_at, lessons.slots

    def booted(self, seconds: float, at: float) -> None:
        self._boots.append(max(0.0, seconds))
        self.boots_at = at

    def worked(self, times: Sequence[float], slots: int, at: float) -> None:
        """``times``: seconds of work of each image; ``slots``: of that worker, 0 if it does not say."""
        self.slots = slots or self.slots
        if times:
            self._service.extend([min(LONGEST_WORK, max(0.0, seconds)) for seconds in times])
            self.service_at = at

    def boot_seconds(self, default: float) -> float:
        """The 90th percentile of the recent boots, or ``default`` until one was measured."""
        boots = sorted(self._boots)
        return boots[-(-9 * len(boots) // 10) - 1] if boots else default

    def service_seconds(self) -> float:
        """Mean seconds of work per image; 0 until one was measured."""
        return sum(self._service) / len(self._service) if self._service else 0.0
