"""SQS as it may be: what was handed out comes again with another receipt, out of order, and counts are behind. Pure."""

import itertools
import json
import math
from collections import defaultdict
from copy import deepcopy
from typing import Any

COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


class Deliveries:
    """What the proxy remembers of the queues between two calls. Bodies are those of SQS's JSON protocol."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._again: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        """By queue, messages that are to be handed out a second time."""
        self._receipts: dict[str, str] = {}
        """A second receipt's first one, which SQS knows."""
        self._told: defaultdict[str, list[tuple[float, dict[str, str]]]] = defaultdict(list)
        """By queue, counts as they were, with their times in seconds."""
        self.given_again = 0

    def known(self, body: bytes) -> bytes:
        """A request with receipts that SQS knows in place of second ones."""
        for second, first in self._receipts.items() if b"again-" in body else ():
            body = body.replace(second.encode(), first.encode())
        return body

    def delayed(self, body: bytes, seconds: float) -> bytes:
        """SendMessage, or the first message of a batch, such that SQS shows it only after ``seconds``."""
        request = json.loads(body)
        request.get("Entries", [request])[0]["DelaySeconds"] = math.ceil(seconds)
        return json.dumps(request).encode()

    def backwards(self, body: bytes) -> bytes:
        """ReceiveMessage's answer, the last message first."""
        answer = json.loads(body)
        answer.get("Messages", []).reverse()
        return json.dumps(answer).encode()

    def keep(self, queue: str, body: bytes) -> None:
        """Let what is handed out here be handed out once more."""
        for message in json.loads(body).get("Messages", []):
            again = deepcopy(message)
            again["ReceiptHandle"] = f"again-{next(self._numbers)}-{message['ReceiptHandle'][:20]}"
            self._receipts[again["ReceiptHandle"]] = message["ReceiptHandle"]
            self._again[queue].append(again)

    def waits(self, queue: str) -> bool:
        """Whether there is something to be handed out again."""
        return bool(self._again[queue])

    def at_once(self, body: bytes) -> bytes:
        """ReceiveMessage that does not wait."""
        return json.dumps(json.loads(body) | {"WaitTimeSeconds": 0}).encode()

    def add(self, queue: str, request: bytes, body: bytes) -> bytes:
        """ReceiveMessage's answer, with what is to be handed out again as far as there is room."""
        answer = json.loads(body)
        messages = answer.setdefault("Messages", [])
        room = int(json.loads(request).get("MaxNumberOfMessages", 1)) - len(messages)
        room = max(0, room)
        again, self._again[queue] = self._again[queue][:room], self._again[queue][room:]
        self.given_again += len(again)
        answer["Messages"] = messages + again
        return json.dumps(answer).encode()

    def note(self, queue: str, body: bytes, now: float) -> None:
        """Remember the counts in GetQueueAttributes's answer. ``now``: seconds."""
        counts = {name: told for name, told in json.loads(body).get("Attributes", {}).items() if name in COUNTS}
        if counts:
            self._told[queue].append((now, counts))

    def behind(self, queue: str, body: bytes, now: float, seconds: float) -> bytes:
        """GetQueueAttributes's answer with the counts of ``seconds`` ago, or the earliest that were told."""
        answer = json.loads(body)
        told = self._told[queue]
        old = [counts for at, counts in told if at <= now - seconds] or [counts for _, counts in told[:1]]
        answer["Attributes"] = answer.get("Attributes", {}) | (old[-1] if old else {})
        return json.dumps(answer).encode()
