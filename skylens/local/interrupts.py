"""Ctrl-C, SIGTERM and a closed terminal, counted instead of raised, so that the next one never cuts a stop short."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """A context manager for the main thread. The handler only counts: an Event set by it could deadlock its waiter."""

    def __init__(self) -> None:
        self._count = 0
        self._before: dict[signal.Signals, Any] = {}

    def asked(self) -> int:
        """How often a stop was asked for."""
        return self._count

    def __enter__(self) -> Self:
        self._before = {one: signal.signal(one, self._note) for one in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _note(self, _: int, __: FrameType | None) -> None:
        self._count += 1
