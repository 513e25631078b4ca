"""SQS answers a batch call with 200 even if entries failed: those that matter raise, like a call that failed."""

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from skylens.aws import Aws
from skylens.aws_errors import Trouble, classify
from skylens.queues import Outgoing, SqsQueue

OPERATIONS = {"delete": "delete_message_batch", "extend": "change_message_visibility_batch"}

SPENT = [
    ("ReceiptHandleIsInvalid", "The input receipt handle is invalid."),
    (
        "InvalidParameterValue",
        "Value AQE= for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
    ),
    (
        "InvalidParameterValue",
        "Value AQE= for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available.",
    ),
    ("AWS.SimpleQueueService.MessageNotInflight", "The message is not in flight."),
    (
        "InvalidParameterValue",
        "Value 30 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout is beyond the limit.",
    ),
]


@pytest.fixture
def stubbed(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = Aws("us-east-1").sqs()
    with Stubber(client) as stubber:
        yield SqsQueue(client, client, "https://sqs/1/q"), stubber
        stubber.assert_no_pending_responses()


def answer(*failed, ours=True):
    """A 200 in which the entries of these codes and messages failed and another was taken."""
    entries = [
        {"Id": str(number), "SenderFault": ours, "Code": code, "Message": message}
        for number, (code, message) in enumerate(failed)
    ]
    return {
        "Successful": [{"Id": str(len(failed))}],
        "Failed": entries,
        "ResponseMetadata": {"RequestId": "1", "HTTPStatusCode": 200},
    }


def call(queue, method, count):
    receipts = [f"r{number}" for number in range(count)]
    return queue.delete(receipts) if method == "delete" else queue.extend(receipts, 30)


@pytest.mark.parametrize("method", OPERATIONS)
@pytest.mark.parametrize("entry", SPENT, ids=lambda entry: entry[1][-30:])
def test_an_entry_that_is_no_longer_valid_is_passed_over(stubbed, method, entry):
    queue, stubber = stubbed
    stubber.add_response(OPERATIONS[method], answer(entry))
    call(queue, method, 2)


@pytest.mark.parametrize("method", OPERATIONS)
@pytest.mark.parametrize(
    ("code", "message", "ours", "trouble"),
    [
        ("RequestThrottled", "Slow down.", True, Trouble.THROTTLED),
        ("AccessDenied", "No.", True, Trouble.DENIED),
        ("InternalError", "We failed.", False, Trouble.UNREACHABLE),
        ("InvalidParameterValue", "Value -1 for parameter VisibilityTimeout is invalid.", True, Trouble.FATAL),
    ],
)
def test_any_other_failed_entry_raises_what_it_means(stubbed, method, code, message, ours, trouble):
    queue, stubber = stubbed
    stubber.add_response(OPERATIONS[method], answer(SPENT[0], (code, message), ours=ours))
    with pytest.raises(ClientError, match=message) as raised:
        call(queue, method, 3)
    assert classify(raised.value) is trouble


@pytest.mark.parametrize("method", OPERATIONS)
def test_a_failed_entry_keeps_no_later_batch_from_being_sent(stubbed, method):
    queue, stubber = stubbed
    stubber.add_response(OPERATIONS[method], answer(("AccessDenied", "No.")))
    stubber.add_response(OPERATIONS[method], answer())
    with pytest.raises(ClientError):
        call(queue, method, 11)


def test_a_batch_that_is_too_long_goes_in_halves_and_each_message_hears_of_its_own(stubbed):
    queue, stubber = stubbed
    bodies = [b"a", b"b", b"c", b"d", b"e"]

    def entries(*bodies):
        return {
            "QueueUrl": queue.url,
            "Entries": [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)],
        }

    stubber.add_client_error(
        "send_message_batch",
        "AWS.SimpleQueueService.BatchRequestTooLong",
        http_status_code=400,
        response_meta={"RequestId": "1"},
        expected_params=entries("a", "b", "c", "d", "e"),
    )
    sent = {"Id": "0", "MessageId": "m", "MD5OfMessageBody": "0"}
    good = {"Successful": [sent], "Failed": [], "ResponseMetadata": {"RequestId": "1", "HTTPStatusCode": 200}}
    stubber.add_response("send_message_batch", good, entries("a", "b"))
    failed = {"Id": "2", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "no"}
    stubber.add_response("send_message_batch", good | {"Failed": [failed]}, entries("c", "d", "e"))
    outcomes = queue.send_many([Outgoing(body) for body in bodies])
    assert outcomes[:4] == [None] * 4
    assert isinstance(outcomes[4], ClientError)
