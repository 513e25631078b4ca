"""Stand-ins for the AWS ports, for tests and simulations: they record, can be scripted to fail, and keep AWS's rules.

Unlike the emulators they run on an injected clock, so a test can let a visibility timeout or a boot pass at once, and
they can be late, deliver twice and refuse.
"""

import itertools
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from skylens.clock import Clock
from skylens.cloudwatch import Cpu
from skylens.groups import WAITING, GroupView
from skylens.instances import ALIVE, ANYWHERE, Instance, Place
from skylens.queues import Counts, Outgoing, Received
from skylens.store import Invitation, Object, Wanted

NOISY, NOISY_SHARE = 30, 0.1
"""A group with so many messages in flight, and more than such a share of all, is passed over for the others: SQS's
fair queues, as its documentation says."""


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
    group: str = ""
    hidden_until: float = 0.0
    receives: int = 0


@dataclass
class FakeQueue:
    """SQS in memory: visibility timeout, receive counts, redrive to ``dead`` after ``max_receives``, fair to groups."""

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

    def send(self, body: bytes, group: str = "") -> None:
        self.script.called("send", body)
        with self._news:
            self.messages[next(self._ids)] = _Message(body.decode(), self.clock.now(), group)
            self._news.notify_all()

    def send_many(self, messages: Sequence[Outgoing]) -> list[Exception | None]:
        return [self._sent(one) for one in messages]

    def _sent(self, message: Outgoing) -> Exception | None:
        try:
            self.send(*message)
        except Exception as error:  # noqa: BLE001 - scripted: any
            return error
        return None

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
        for number, message in self._fairly(now):
            if message.hidden_until > now or len(found) >= most:
                continue
            if self.dead is not None and message.receives >= self.max_receives:
                del self.messages[number]
                self.dead.send(message.body.encode(), message.group)
                continue
            message.receives += 1
            again = self.twice and message.receives == 1
            message.hidden_until = 0.0 if again else now + self.visibility
            found.append(Received(message.body, f"{number}:{message.receives}", message.receives, message.sent))
        return found

    def _fairly(self, now: float) -> list[tuple[int, _Message]]:
        """Every message, those of noisy groups last."""
        in_flight = Counter(one.group for one in self.messages.values() if one.hidden_until > now)
        least = max(NOISY, NOISY_SHARE * in_flight.total())
        noisy = {group for group, count in in_flight.items() if group and count >= least}
        return sorted(self.messages.items(), key=lambda pair: pair[1].group in noisy)

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

    def sweep(self, expected: Collection[str] = ()) -> list[Instance] | None:
        return self.all(expected)

    def user_data(self) -> str:
        self.script.called("user_data")
        return ""

    def launch(self, count: int, token: str, place: Place = ANYWHERE, user_data: str = "") -> list[str]:
        del user_data
        self.script.called("launch", count, token, place)
        return self.give(count, token, place)

    def give(self, count: int, token: str, place: Place = ANYWHERE) -> list[str]:
        """What ``launch`` does once it was called."""
        if token not in self.tokens:
            given = min(count, self.capacity - len(self.alive))
            if given < 1:
                raise aws_error("InsufficientInstanceCapacity")
            made = [f"i-{len(self.tokens):08x}{number:09x}" for number in range(given)]
            self.tokens[token] = made
            for one in made:
                self.instances[one] = Instance(
                    one, "pending", self.clock.now(), draining=False, type=place.type, spot=place.spot
                )
        return self.tokens[token]

    def drain(self, ids: list[str]) -> None:
        self.script.called("drain", *ids)
        for one in set(ids) & set(self.instances):
            self.instances[one] = self.instances[one]._replace(draining=True)

    def settle_in(self, one: str) -> None:
        self.script.called("settle_in", one)
        if one in self.instances:
            self.instances[one] = self.instances[one]._replace(resident=True)

    def terminate(self, one: str) -> None:
        self.script.called("terminate", one)
        if one in self.instances:
            self.instances[one] = self.instances[one]._replace(state="terminated")


@dataclass
class FakeCloudWatch:
    """CloudWatch in memory. ``load``: what each instance is to have told lately."""

    clock: Clock = field(default_factory=Clock)
    script: Script = field(default_factory=Script)
    published: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    """Each call of ``publish`` with its time in Unix seconds."""
    load: dict[str, Cpu] = field(default_factory=dict)

    def publish(self, values: Mapping[str, float]) -> None:
        self.script.called("publish", dict(values))
        self.published.append((self.clock.now(), dict(values)))

    def cpu(self, instances: Collection[str]) -> Cpu | None:
        self.script.called("cpu", *sorted(instances))
        told = [self.load[one] for one in instances if one in self.load]
        if not told:
            return None
        return Cpu(sum(one.percent for one in told) / len(told), max(one.age for one in told))


@dataclass
class FakeGroup:
    """An Auto Scaling group that launches into ``instances`` and replaces nobody.

    It may be slow to launch and slow to show what it did; what ``instances`` has no capacity for it tries in vain.
    """

    instances: FakeInstances
    maximum: int = 1_000_000
    delay: float = 0.0
    """Seconds from the wish to the launch."""
    lag: float = 0.0
    """Seconds by which ``view()`` is behind."""
    hooked: bool = False
    """Whether a removed member waits in a termination hook, alive."""
    protected: bool = True
    """Whether a lower desired capacity leaves the members alone; else the first ones have to go."""
    script: Script = field(default_factory=Script)
    desired: int = 0
    members: dict[str, str] = field(default_factory=dict)
    failed: tuple[float, str] = (0.0, "")
    """When a launch failed last, and why."""
    _wished: float = 0.0
    _views: list[tuple[float, GroupView]] = field(default_factory=list)

    def view(self) -> GroupView:
        self.script.called("view")
        self._work()
        seen = self.instances.clock.now() - self.lag
        return next((view for at, view in reversed(self._views) if at <= seen), GroupView(0, self.maximum, {}))

    def resize(self, desired: int) -> None:
        self.script.called("resize", desired)
        if desired > self.maximum:
            raise aws_error("ValidationError")
        self.desired, self._wished = desired, self.instances.clock.now()
        self._work()

    def limit(self, maximum: int, desired: int) -> None:
        self.script.called("limit", maximum, desired)
        self.maximum, self.desired = maximum, desired

    def remove(self, one: str) -> None:
        self.script.called("remove", one)
        if self.members.get(one) == "InService":
            self.desired -= 1
            self._take(one)
            self._work()

    def complete(self, one: str) -> None:
        self.script.called("complete", one)
        if self.members.get(one) == WAITING:
            self._end(one)
            self._work()

    def refusal(self, since: float) -> str:
        self.script.called("refusal", since)
        self._work()
        at, why = self.failed
        return why if at > since else ""

    def _take(self, one: str) -> None:
        self.members[one] = WAITING
        if not self.hooked:
            self._end(one)

    def _end(self, one: str) -> None:
        del self.members[one]
        self.instances.instances[one] = self.instances.instances[one]._replace(state="terminated")

    def _work(self) -> None:
        """Launch what lacks, take what is too much, and keep what is to be shown."""
        now, view = self.instances.clock.now(), GroupView(self.desired, self.maximum, self.members)
        if not self.protected:
            for one in sorted(view.staying)[: max(0, len(view.staying) - self.desired)]:
                self._take(one)
        if view.coming and now >= self._wished + self.delay:
            try:
                made = self.instances.give(view.coming, f"group {len(self.instances.tokens)}")
                self.members |= dict.fromkeys(made, "InService")
            except ClientError as error:
                self.failed = now, str(error)
        shown = GroupView(self.desired, self.maximum, dict(self.members))
        if not self._views or self._views[-1][1] != shown:
            self._views.append((now, shown))
