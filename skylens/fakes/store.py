"""S3 in memory."""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from skylens.clock import Clock
from skylens.fakes.script import Script
from skylens.store import RECORD, Invitation, Object, Wanted, check_size


@dataclass
class FakeStore:
    """S3 in memory, strongly consistent, with conditional writes."""

    clock: Clock = field(default_factory=Clock)
    script: Script = field(default_factory=Script)
    objects: dict[str, tuple[bytes, str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._versions = itertools.count(1)
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self.script.called("put", key, content_type)
        with self._lock:
            self._write(key, data)

    def put_if(self, key: str, data: bytes, content_type: str, *, etag: str | None) -> str | None:
        self.script.called("put_if", key, content_type, etag)
        with self._lock:
            held = self.objects.get(key)
            if (held[1] if held else None) != etag:
                return None
            return self._write(key, data)

    def _write(self, key: str, data: bytes) -> str:
        etag = f'"{next(self._versions)}"'
        self.objects[key] = (data, etag, self.clock.now())
        return etag

    def get(self, key: str, most: int = RECORD) -> Object | None:
        self.script.called("get", key)
        held = self.objects.get(key)
        if held is None:
            return None
        check_size(key, len(held[0]), most)
        return Object(held[0], held[1], self.clock.now() - held[2])

    def size(self, key: str) -> int | None:
        self.script.called("size", key)
        return len(self.objects[key][0]) if key in self.objects else None

    def start(self, key: str, most: int) -> bytes | None:
        self.script.called("start", key, most)
        return self.objects[key][0][:most] if key in self.objects else None

    def invite(self, key: str, wanted: Wanted, seconds: int) -> Invitation:
        self.script.called("invite", key, wanted, seconds)
        return Invitation(f"https://s3.example/{key}", {"Content-Type": wanted.content_type})

    def copy(self, source: str, key: str) -> bool:
        self.script.called("copy", source, key)
        with self._lock:
            if source in self.objects:
                self._write(key, self.objects[source][0])
        return source in self.objects

    def delete(self, key: str) -> None:
        self.script.called("delete", key)
        self.objects.pop(key, None)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        self.script.called("keys", prefix, after)
        yield from sorted(key for key in self.objects if key.startswith(prefix) and key > after)
