"""Gathers what several threads ask for at about the same time into one call."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(eq=False)
class _Party(Generic[T]):
    """The items of one call: while it is open, callers join it."""

    items: list[T] = field(default_factory=list)
    weight: int = 0
    full: threading.Event = field(default_factory=threading.Event)
    over: threading.Lock = field(default_factory=threading.Lock)
    """Held by its leader until the call is over. Those who joined pass it one by one, and do not wake all at once."""
    failures: Sequence[Exception | None] = ()


class Gather(Generic[T]):
    """``call`` takes up to ``most`` items and gives each one's failure, or None.

    Owns no thread. The first caller leads: it waits ``linger`` seconds for others, but only while ``more()`` expects
    any, then makes the call for all of them; those who joined wait for it. So nobody waits when it is quiet, and a
    caller that dies takes along only those that joined it. Calls of different parties run side by side.
    """

    def __init__(
        self,
        call: Callable[[list[T]], Sequence[Exception | None]],
        *,
        most: int,
        linger: float = 0.0,
        more: Callable[[], bool] = lambda: True,
        heaviest: float = float("inf"),
    ) -> None:
        """``heaviest``: most weight of one call, in the unit that ``do`` is given."""
        self._call, self._most, self._linger, self._more, self._heaviest = call, most, linger, more, heaviest
        self._lock = threading.Lock()
        self._open: _Party[T] | None = None

    def do(self, item: T, weight: int = 0) -> None:
        """Have ``item`` done together with others. Raises what the call raised, or said of this item."""
        with self._lock:
            party = self._open
            leads = party is None or party.weight + weight > self._heaviest
            if party is None or leads:
                if party is not None:
                    party.full.set()  # by its weight
                party = self._open = _Party()
                party.over.acquire()
            place = len(party.items)
            party.items.append(item)
            party.weight += weight
            if len(party.items) >= self._most:
                self._open = None
                party.full.set()
        if leads:
            self._lead(party)
        else:
            with party.over:
                pass
        failure = party.failures[place]
        if failure is not None:
            raise failure

    def _lead(self, party: _Party[T]) -> None:
        if self._linger and self._more():
            self._wait(party)
        with self._lock:
            if self._open is party:
                self._open = None
        try:
            party.failures = self._call(party.items)
        except Exception as error:  # noqa: BLE001 - raised again in every caller's thread
            party.failures = [error] * len(party.items)
        except BaseException:
            party.failures = [RuntimeError("the thread that called for all was ended")] * len(party.items)
            raise
        finally:
            party.over.release()

    def _wait(self, party: _Party[T]) -> None:
        """Until the party is full, nobody else is expected, or ``linger`` is over; looks a few times."""
        step, until = self._linger / 4, time.monotonic() + self._linger
        while self._more() and (left := until - time.monotonic()) > 0:
            if party.full.wait(min(step, left)):
                return
