"""``skylens scaler --watch``: the running autoscaler on a terminal instead of its log."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from autoscaler.lease import Lease
from autoscaler.observation import Decision, Observation
from autoscaler.screen import Moment, State, Turn, render
from skylens.clock import Clock
from skylens.errors import SettingsError
from skylens.settings import ScalerSettings

TICKS = 600
"""Ticks whose numbers are kept for the trends."""
TURNS = 50
LINES = 50
"""Lines of the log that are kept."""
LEFT = 10
"""Lines of the log that stay on the terminal afterwards."""
DRAWN_PER_SECOND = 2
META = ("event", "level", "timestamp", "tier", "exc_info")


class Watch:
    """A watcher of the loop that remembers its last minutes.

    Written by the loop's thread and read by the one that draws: what both see is a tuple, replaced as a whole.
    """

    def __init__(self, settings: ScalerSettings, lease: Lease | None, clock: Clock) -> None:
        self._lease, self._clock = lease, clock
        self._state = State(settings.policy, settings.fleet, clock.now())
        self.log = Tail()

    def saw(self, seen: Observation, wanted: Decision, allowed: Decision) -> None:
        turn = Turn(seen.at, seen.active, wanted.desired, allowed.desired, allowed.reason)
        moment = Moment(seen.arrivals[-1] if seen.arrivals else 0, seen.outstanding, seen.active)
        before = self._state
        self._state = before._replace(
            seen=seen, turns=_noted(before.turns, turn), history=(*before.history, moment)[-TICKS:]
        )

    def state(self) -> State:
        role, lease = self._standing()
        return self._state._replace(now=self._clock.now(), role=role, lease=lease, log=self.log.lines)

    def _standing(self) -> tuple[str, str]:
        """The role, and what there is to say of the lease."""
        if self._lease is None:
            return "dry run", "launches and drains nothing"
        if not self._lease.held:
            return "standby", "another autoscaler holds the lease"
        return "leading", f"lease held for {_span(self._lease.held_for)}"


def _noted(turns: tuple[Turn, ...], turn: Turn) -> tuple[Turn, ...]:
    """A decision that stands keeps its time and gets its latest reason."""
    if turns and turns[-1][1:4] == turn[1:4]:
        return (*turns[:-1], turn._replace(at=turns[-1].at))
    return (*turns, turn)[-TURNS:]


class Tail(logging.Handler):
    """Keeps the last lines of the log, short, without the decisions, which are shown by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: tuple[str, ...] = ()

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = record.msg if isinstance(record.msg, dict) else {"event": record.getMessage()}
        if fields["event"] != "scaler.decision":
            self.lines = (*self.lines, _short(record, fields))[-LINES:]


def _short(record: logging.LogRecord, fields: dict[str, Any]) -> str:
    told = [f"{name}={value}" for name, value in fields.items() if name not in META]
    if record.exc_info or fields.get("exc_info"):
        told.append(repr(sys.exc_info()[1]))
    at = datetime.fromtimestamp(record.created, UTC)
    return " ".join([f"{at:%H:%M:%S}Z", record.levelname.lower(), str(fields["event"]), *told])


def terminal() -> Console:
    """Standard output as a terminal that can be drawn on. Raises SettingsError when it is none."""
    console = Console(highlight=False)
    if not sys.stdout.isatty() or console.is_dumb_terminal:
        raise SettingsError(
            "--watch draws on a terminal, and standard output is none; leave it out to get the log, a line a decision"
        )
    return console


@contextmanager
def showing(watch: Watch, console: Console, log: Path | None) -> Iterator[None]:
    """Draw it while the block runs, with the log in the view and in the file ``log`` instead of standard output.

    Owns a thread that draws; one that dies takes nothing along. Afterwards the log goes where it went before, and its
    last lines stay on the terminal. Raises SettingsError when the file cannot be written.
    """

    def draw() -> RenderableType:
        return render(watch.state(), console.width, console.height)

    with (
        _logging_to(watch.log, console, log),
        Live(console=console, get_renderable=draw, screen=True, refresh_per_second=DRAWN_PER_SECOND),
    ):
        yield


@contextmanager
def _logging_to(tail: Tail, console: Console, path: Path | None) -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:]
    file = None if path is None else _file(path, before)
    root.handlers[:] = [tail] if file is None else [tail, file]
    try:
        yield
    finally:
        root.handlers[:] = before
        if file is not None:
            file.close()
        for line in tail.lines[-LEFT:]:
            console.print(Text(line), soft_wrap=True)


def _file(path: Path, like: list[logging.Handler]) -> logging.Handler:
    """Lines of the same form as the log has on standard output."""
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--log {path}: {error.strerror}") from error
    handler.setFormatter(like[0].formatter if like else None)
    return handler


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
