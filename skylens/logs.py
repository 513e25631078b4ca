"""Logs: one JSON object a line on standard output, dotted event names, ids bound by context."""

import json
import logging
import re
import sys
from contextlib import suppress
from typing import Any

import msgspec

# Importing structlog imports rich, for tracebacks that no tier prints, and that is 100 ms of each start.
if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog

    del sys.modules["rich"]
else:
    import structlog


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What moves a terminal's cursor, or begins a line."""


def configure(level: str, style: str, tier: str) -> None:
    """Send structlog and the standard library's logging to standard output. ``style``: json or text."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _stamp(tier),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = _rendered if style == "json" else _text(structlog.dev.ConsoleRenderer())
    handler = _Lines(sys.stdout)
    structlog.configure(
        processors=[*shared, _direct(handler, last)],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("botocore", "boto3", "urllib3", "httpx2", "httpcore2", "waitress"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it warns of each request that waits for a thread


class _Lines(logging.StreamHandler[Any]):
    """A line a call and without a lock, for threads would queue up behind the one that writes.

    A file or a socket takes a line in one piece, a pipe that is not full too.
    """

    def createLock(self) -> None:  # noqa: N802 - logging's name
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.line(self.format(record))
        except Exception:  # noqa: BLE001 - as the standard library's handlers do
            self.handleError(record)

    def line(self, text: str) -> None:
        """Write one line. What cannot be written is dropped."""
        raw = getattr(getattr(self.stream, "buffer", None), "raw", None)
        with suppress(OSError, ValueError):
            if raw is None:
                self.stream.write(f"{text}\n")
                return
            rest = memoryview(f"{text}\n".encode(errors="backslashreplace"))
            while rest and (written := raw.write(rest)):
                rest = rest[written:]


def _direct(handler: _Lines, render: structlog.typing.Processor) -> structlog.typing.Processor:
    """Write an event without the standard library's record of it, which costs thrice the rest.

    Where somebody else has set up the root's handlers meanwhile, the event goes to those.
    """

    def last(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.ProcessorReturnValue:
        if logging.root.handlers != [handler]:
            return structlog.stdlib.ProcessorFormatter.wrap_for_formatter(logger, method, event)
        event = structlog.processors.format_exc_info(logger, method, event)
        handler.line(str(render(logger, method, event)))
        raise structlog.DropEvent

    return last


def _rendered(_logger: Any, _method: str, event: structlog.typing.EventDict) -> str:
    """One line of JSON; what JSON does not know as ``repr`` shows it."""
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except (ValueError, TypeError, RecursionError):  # half a character, a key that is no text, a thing within itself
        plain = (str, int, float, bool, type(None))
        return json.dumps({key: value if isinstance(value, plain) else repr(value) for key, value in event.items()})


def _text(render: structlog.dev.ConsoleRenderer) -> structlog.typing.Processor:
    """A line for people; what clients had written in it stays in its line and does nothing to their terminal."""

    def rendered(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
        for key, value in event.items():
            if key in {"exception", "stack"}:
                event[key] = "\n".join(map(_harmless, str(value).split("\n")))
            elif not isinstance(value, bool | int | float):
                event[key] = _harmless(str(value))
        return str(render(logger, method, event))

    return rendered


def _harmless(text: str) -> str:
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def _stamp(tier: str) -> structlog.typing.Processor:
    """Name the tier in each line, of whatever thread."""

    def stamp(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["tier"] = tier
        return event

    return stamp


def get(name: str) -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
