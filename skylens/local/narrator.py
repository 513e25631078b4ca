"""Follows the autoscaler's log and says each of its decisions in one short line."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class LogLines:
    """Reads a growing log of JSON objects, each whole line once."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def new(self) -> list[dict[str, Any]]:
        """The records since the last call; lines that are no JSON objects (a traceback) are passed over."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [record for line in whole.splitlines() if (record := _record(line)) is not None]


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def sentence(record: dict[str, Any]) -> str | None:
    """One record as a line for a person; None for those that are nothing to tell."""
    if record.get("event") != "scaler.decision":
        return None
    old, new = record.get("old"), record.get("new")
    if old == new:
        return None
    return f"{clock_time(str(record.get('timestamp', '')))} fleet {old} -> {new}: {record.get('reason', '')}"


def clock_time(stamp: str) -> str:
    """A UTC ISO time as the local time of day."""
    try:
        return datetime.fromisoformat(stamp).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return datetime.now(UTC).astimezone().strftime("%H:%M:%S")
