"""One SQS queue as the tiers use it, behind a narrow protocol."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypedDict, cast

from botocore.exceptions import ClientError

from skylens.aws import LONG_POLL
from skylens.aws_errors import entry_error, is_gone, is_spent, is_too_long

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef, SendMessageBatchRequestEntryTypeDef

BATCH = 10
"""Most messages in one SQS call."""


class Received(NamedTuple):
    """One delivery. ``receipt`` names this delivery, not the message; ``sent``: Unix seconds by SQS's clock."""

    body: str
    receipt: str
    receives: int
    sent: float


class Outgoing(NamedTuple):
    """A message to be sent. ``group``: the tenant it is for, so that SQS keeps the queue fair; empty for nobody's.

    On a standard queue, as all of ours are, a group orders and blocks nothing: a group that keeps many messages in
    work is passed over for the others (SQS fair queues). It is 1 to 128 characters, of which a tenant's all may be.
    """

    body: bytes
    group: str = ""


class Counts(NamedTuple):
    """SQS's approximate counts; they may lag by a minute."""

    visible: int
    in_flight: int


class Queue(Protocol):
    """A queue that delivers at least once, in any order."""

    def send(self, body: bytes, group: str = "") -> None:
        """``group``: as in ``Outgoing``."""
        ...

    def send_many(self, messages: Sequence[Outgoing]) -> list[Exception | None]:
        """Send up to ten in one call; of each, why it was not taken, or None."""
        ...

    def receive(self, most: int, wait: int = LONG_POLL) -> list[Received]:
        """Up to ``most`` messages (1-10), after at most ``wait`` seconds (0-20)."""
        ...

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete deliveries; those that are no longer valid are passed over."""
        ...

    def extend(self, receipts: Sequence[str], seconds: int) -> None:
        """Hide deliveries for ``seconds`` more from now; those that are no longer valid are passed over."""
        ...

    def counts(self) -> Counts: ...


def _batched(receipts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(receipts), BATCH):
        yield receipts[start : start + BATCH]


def _raise_failed(operation: str, failed: "Sequence[BatchResultErrorEntryTypeDef]") -> None:
    """Raise the first failure of a batch call that counts as a ClientError: SQS answers 200 even if entries failed."""
    for entry in failed:
        error = entry_error(operation, entry["Code"], entry.get("Message", ""), ours=entry["SenderFault"])
        if not is_spent(error):
            raise error


class _Hide(TypedDict, total=False):
    VisibilityTimeout: int


class _Group(TypedDict, total=False):
    MessageGroupId: str


def _group(name: str) -> _Group:
    return {"MessageGroupId": name} if name else {}


def _entry(index: int, message: Outgoing) -> "SendMessageBatchRequestEntryTypeDef":
    entry: SendMessageBatchRequestEntryTypeDef = {"Id": str(index), "MessageBody": message.body.decode()}
    if message.group:
        entry["MessageGroupId"] = message.group
    return entry


class SqsQueue:
    """The real thing. ``polling``: a client whose read timeout outlasts a long poll.

    ``visibility``: seconds for which a received message is hidden (0-43,200); None for the queue's own setting.
    """

    def __init__(self, client: "SQSClient", polling: "SQSClient", url: str, visibility: int | None = None) -> None:
        self._client, self._polling, self.url = client, polling, url
        self._hide: _Hide = {} if visibility is None else {"VisibilityTimeout": visibility}

    def send(self, body: bytes, group: str = "") -> None:
        self._client.send_message(QueueUrl=self.url, MessageBody=body.decode(), **_group(group))

    def send_many(self, messages: Sequence[Outgoing]) -> list[Exception | None]:
        if len(messages) == 1:  # its errors are those of the call
            self.send(*messages[0])
            return [None]
        entries = [_entry(index, one) for index, one in enumerate(messages)]
        try:
            answer = self._client.send_message_batch(QueueUrl=self.url, Entries=entries)
        except ClientError as error:
            if not is_too_long(error):
                raise
            half = len(messages) // 2
            return self.send_many(messages[:half]) + self.send_many(messages[half:])
        failed: dict[str, Exception] = {
            entry["Id"]: entry_error(
                "SendMessageBatch", entry["Code"], entry.get("Message", ""), ours=entry["SenderFault"]
            )
            for entry in answer.get("Failed", [])
        }
        return [failed.get(str(index)) for index in range(len(messages))]

    def receive(self, most: int, wait: int = LONG_POLL) -> list[Received]:
        answer = self._polling.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=min(most, BATCH),
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            **self._hide,
        )
        return [
            Received(
                message["Body"],
                message["ReceiptHandle"],
                int(message["Attributes"]["ApproximateReceiveCount"]),
                int(message["Attributes"]["SentTimestamp"]) / 1000,
            )
            for message in answer.get("Messages", [])
        ]

    def delete(self, receipts: Sequence[str]) -> None:
        failed: list[BatchResultErrorEntryTypeDef] = []
        for some in _batched(receipts):
            failed += self._client.delete_message_batch(
                QueueUrl=self.url,
                Entries=[{"Id": str(index), "ReceiptHandle": receipt} for index, receipt in enumerate(some)],
            ).get("Failed", [])
        _raise_failed("DeleteMessageBatch", failed)

    def extend(self, receipts: Sequence[str], seconds: int) -> None:
        failed: list[BatchResultErrorEntryTypeDef] = []
        for some in _batched(receipts):
            failed += self._client.change_message_visibility_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                    for index, receipt in enumerate(some)
                ],
            ).get("Failed", [])
        _raise_failed("ChangeMessageVisibilityBatch", failed)

    def counts(self) -> Counts:
        answer = self._client.get_queue_attributes(
            QueueUrl=self.url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return Counts(int(answer["ApproximateNumberOfMessages"]), int(answer["ApproximateNumberOfMessagesNotVisible"]))


PAGE = 1000
"""Queues in one answer to a listing; SQS has no second page unless it is asked for so many."""


class SqsQueues:
    """Finds queues by name, and makes and sweeps the reply queues of web nodes."""

    def __init__(self, client: "SQSClient", polling: "SQSClient") -> None:
        self._client, self._polling = client, polling
        self._found: dict[str, str] = {}

    def named(self, name: str, visibility: int | None = None) -> SqsQueue:
        """The queue of that name; its address is looked up once. Raises ClientError (gone) when there is none.

        ``visibility``: as in ``SqsQueue``.
        """
        if name not in self._found:
            self._found[name] = self._client.get_queue_url(QueueName=name)["QueueUrl"]
        return SqsQueue(self._client, self._polling, self._found[name], visibility)

    def send(self, name: str, body: bytes) -> bool:
        """Send to the queue of that name; False when it is gone (its owner has left)."""
        try:
            self.named(name).send(body)
        except ClientError as error:
            self.forget(name)
            if is_gone(error):
                return False
            raise
        return True

    def forget(self, name: str) -> None:
        """Look the queue of that name up again when it is asked for next."""
        self._found.pop(name, None)

    def ensure(self, name: str, tags: dict[str, str], retention: int) -> SqsQueue:
        """The queue of that name, made if missing. ``retention``: seconds a message is kept (60-1,209,600).

        Looked up first and tagged apart: SQS refuses to create a queue that exists with other tags or attributes.
        """
        try:
            url = self._client.get_queue_url(QueueName=name)["QueueUrl"]
        except ClientError as error:
            if not is_gone(error):
                raise
            attributes: dict[QueueAttributeNameType, str] = {"MessageRetentionPeriod": str(retention)}
            url = self._client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        made = SqsQueue(self._client, self._polling, url)
        self.tag(made, tags)
        return made

    def tag(self, queue: SqsQueue, tags: dict[str, str]) -> None:
        self._client.tag_queue(QueueUrl=queue.url, Tags=tags)

    def reset(self, queue: SqsQueue, attributes: Mapping[str, str]) -> None:
        """Set attributes, each by itself: one that SQS refuses keeps none of the others. Raises the first refusal."""
        refused: list[ClientError] = []
        for name, value in attributes.items():
            one = cast("dict[QueueAttributeNameType, str]", {name: value})
            try:
                self._client.set_queue_attributes(QueueUrl=queue.url, Attributes=one)
            except ClientError as error:
                refused.append(error)
        if refused:
            raise refused[0]

    def tagged(self, prefix: str) -> list[tuple[SqsQueue, dict[str, str]]]:
        """Each queue whose name starts with ``prefix``, with its tags; one that vanishes meanwhile is left out."""
        found = []
        for page in self._client.get_paginator("list_queues").paginate(
            QueueNamePrefix=prefix, PaginationConfig={"PageSize": PAGE}
        ):
            for url in page.get("QueueUrls", []):
                try:
                    tags = self._client.list_queue_tags(QueueUrl=url).get("Tags", {})
                except ClientError as error:
                    if is_gone(error):
                        continue
                    raise
                found.append((SqsQueue(self._client, self._polling, url), tags))
        return found

    def remove(self, queue: SqsQueue) -> None:
        self._client.delete_queue(QueueUrl=queue.url)
