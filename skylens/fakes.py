"""Stand-ins for the AWS ports, for tests and simulations: they record, can be scripted to fail, and keep AWS's rules.

Unlike the emulators they run on an injected clock, so a test can let a visibility timeout or a boot pass at once, and
they can be late, deliver twice and refuse.
"""

import itertools
import threading
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from skylens.clock import Clock
from skylens.instances import ALIVE, Instance
from skylens.queues import Counts, Received
from skylens.store import Object


def aws_error(code: str, status: int = 400) -> ClientError:
    """What boto3 raises for an AWS error of that code."""
    return ClientError(
        {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Fake",
    )


class Script:
    """Errors to raise on the next calls of a method: ``fail("send", aws_error("Throttling"), times=2)``."""

    def __init__(self) -> None:
        self._planned: dict[str, deque[Exception]] = {}
        self.calls: list[tuple[str, tuple[object, ...]]] = []

    def fail(self, method: str, error: Exception, times: int = 1) -> None:
        self._planned.setdefault(method, deque()).extend([error] * times)

    def called(self, method: str, *arguments: object) -> None:
        self.calls.append((method, arguments))
        planned = self._planned.get(method)
        if planned:
            raise planned.popleft()


@dataclass
class _Message:
    body: str
    sent: float
    hidden_until: float = 0.0
    receives: int = 0


@dataclass
class FakeQueue:
    """SQS in memory: visibility timeout, receive counts, redrive to ``dead`` after ``max_receives``."""

    clock: Clock = field(default_factory=Clock)
    visibility: float = 30.0
    dead: "FakeQueue | None" = None
    max_receives: int = 3
    script: Script = field(default_factory=Script)
    messages: dict[int, _Message] = field(default_factory=dict)
    url: str = ""
    twice: bool = False
    """Deliver each message to two receivers, as SQS now and then does."""

    def __post_init__(self) -> None:
        self._ids = itertools.count()
        self._news = threading.Condition()

    def send(self, body: bytes) -> None:
        self.script.called("send", body)
        with self._news:
            self.messages[next(self._ids)] = _Message(body.decode(), self.clock.now())
            self._news.notify_all()

    def receive(self, most: int, wait: int = 20) -> list[Received]:
        self.script.called("receive", most, wait)
        with self._news:
            found = self._take(most)
            if not found and wait:
                self._news.wait(min(wait, 0.05))
                found = self._take(most)
        return found

    def _take(self, most: int) -> list[Received]:
        now = self.clock.now()
        found: list[Received] = []
        for number, message in list(self.messages.items()):
            if message.hidden_until > now or len(found) >= most:
                continue
            if self.dead is not None and message.receives >= self.max_receives:
                del self.messages[number]
                self.dead.send(message.body.encode())
                continue
            message.receives += 1
            again = self.twice and message.receives == 1
            message.hidden_until = 0.0 if again else now + self.visibility
            found.append(Received(message.body, f"{number}:{message.receives}", message.receives, message.sent))
        return found

    def delete(self, receipts: Sequence[str]) -> None:
        self.script.called("delete", *receipts)
        with self._news:
            for receipt in receipts:
                self.messages.pop(int(receipt.partition(":")[0]), None)

    def extend(self, receipts: Sequence[str], seconds: int) -> None:
        self.script.called("extend", *receipts, seconds)
        with self._news:
            for receipt in receipts:
                message = self.messages.get(int(receipt.partition(":")[0]))
                if message is not None:
                    message.hidden_until = self.clock.now() + seconds

    def counts(self) -> Counts:
        self.script.called("counts")
        now = self.clock.now()
        hidden = sum(message.hidden_until > now for message in self.messages.values())
        return Counts(len(self.messages) - hidden, hidden)


@dataclass
class FakeQueues:
    """Queues by name, as ``SqsQueues`` finds them; a removed one is gone."""

    queues: dict[str, FakeQueue] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)

    def send(self, name: str, body: bytes) -> bool:
        if name not in self.queues:
            return False
        self.queues[name].send(body)
        return True

    def ensure(self, name: str, tags: dict[str, str], retention: int) -> FakeQueue:
        del retention
        self.tags.setdefault(name, {}).update(tags)
        return self.queues.setdefault(name, FakeQueue(self.clock, url=name))

    def tag(self, queue: FakeQueue, tags: dict[str, str]) -> None:
        self.tags[self._name(queue)].update(tags)

    def tagged(self, prefix: str) -> list[tuple[FakeQueue, dict[str, str]]]:
        return [(queue, self.tags.get(name, {})) for name, queue in self.queues.items() if name.startswith(prefix)]

    def remove(self, queue: FakeQueue) -> None:
        del self.queues[self._name(queue)]

    def _name(self, queue: FakeQueue) -> str:
        return next(name for name, held in self.queues.items() if held is queue)


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

    def get(self, key: str) -> Object | None:
        self.script.called("get", key)
        held = self.objects.get(key)
        return Object(held[0], held[1], self.clock.now() - held[2]) if held else None

    def size(self, key: str) -> int | None:
        self.script.called("size", key)
        return len(self.objects[key][0]) if key in self.objects else None

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


@dataclass
class FakeInstances:
    """EC2 in memory: honours client tokens, may lag behind its own launches, may have less capacity than asked."""

    clock: Clock = field(default_factory=Clock)
    lag: float = 0.0
    """Seconds until a launched instance shows up in ``all()``."""
    capacity: int = 1_000_000
    """How many may exist at once; a launch of more gets fewer, or InsufficientInstanceCapacity for none."""
    script: Script = field(default_factory=Script)
    instances: dict[str, Instance] = field(default_factory=dict)
    tokens: dict[str, list[str]] = field(default_factory=dict)

    @property
    def alive(self) -> list[str]:
        return [one.id for one in self.instances.values() if one.state in ALIVE]

    def all(self, expected: Collection[str] = ()) -> list[Instance]:
        self.script.called("all")
        seen = self.clock.now() - self.lag
        return [
            one
            for one in self.instances.values()
            if one.launched <= seen and (one.state in ALIVE or one.id in expected)
        ]

    def user_data(self) -> str:
        self.script.called("user_data")
        return ""

    def launch(self, count: int, token: str, subnet: str = "", user_data: str = "") -> list[str]:
        del user_data
        self.script.called("launch", count, token, subnet)
        if token not in self.tokens:
            given = min(count, self.capacity - len(self.alive))
            if given < 1:
                raise aws_error("InsufficientInstanceCapacity")
            made = [f"i-{len(self.tokens):08x}{number:09x}" for number in range(given)]
            self.tokens[token] = made
            for one in made:
                self.instances[one] = Instance(one, "pending", self.clock.now(), draining=False)
        return self.tokens[token]

    def drain(self, ids: list[str]) -> None:
        self.script.called("drain", *ids)
        for one in set(ids) & set(self.instances):
            self.instances[one] = self.instances[one]._replace(draining=True)

    def terminate(self, one: str) -> None:
        self.script.called("terminate", one)
        if one in self.instances:
            self.instances[one] = self.instances[one]._replace(state="terminated")
