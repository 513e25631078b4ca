"""SQS in memory."""

import itertools
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from skylens.clock import Clock
from skylens.fakes.script import Script
from skylens.queues import Counts, Outgoing, Received

NOISY, NOISY_SHARE = 30, 0.1
"""A group with so many messages in flight, and more than such a share of all, is passed over for the others: SQS's
fair queues, as its documentation says."""


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
    max_receives: int = 5
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
    resets: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Name and attributes at each call of ``reset``."""
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

    def reset(self, queue: FakeQueue, attributes: Mapping[str, str]) -> None:
        self.resets.append((self._name(queue), dict(attributes)))

    def tagged(self, prefix: str) -> list[tuple[FakeQueue, dict[str, str]]]:
        return [(queue, self.tags.get(name, {})) for name, queue in self.queues.items() if name.startswith(prefix)]

    def remove(self, queue: FakeQueue) -> None:
        del self.queues[self._name(queue)]

    def _name(self, queue: FakeQueue) -> str:
        return next(name for name, held in self.queues.items() if held is queue)
