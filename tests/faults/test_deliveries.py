"""SQS as it now and then is: a message comes again, out of order, and counts are a minute old."""

from plan import Script, always, scripted


def bodies(sqs, queue, most=10, wait=0):
    """Receive up to so many: (body, receipt)."""
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=most, WaitTimeSeconds=wait)
    return [(message["Body"], message["ReceiptHandle"]) for message in found.get("Messages", [])]


def send(sqs, queue, *texts):
    for text in texts:
        sqs.send_message(QueueUrl=queue, MessageBody=text)


def test_one_message_may_be_sent_twice(behind, queue):
    sqs = behind(scripted("twice", operation="sqs.SendMessage")).client("sqs")
    send(sqs, queue, "x", "y")
    assert sorted(body for body, _ in bodies(sqs, queue)) == ["x", "x", "y"]


def test_a_message_that_was_handed_out_is_handed_out_again_with_another_receipt(behind, queue):
    one = behind(scripted("given again", operation="sqs.ReceiveMessage"))
    sqs = one.client("sqs")
    send(sqs, queue, "x")
    ((body, receipt),) = bodies(sqs, queue)
    ((again, other),) = bodies(sqs, queue, wait=20)
    assert body == again == "x"
    assert receipt != other
    assert bodies(sqs, queue) == []
    assert one.proxy.figures["given again"] == 1


def test_either_receipt_extends_and_deletes_it(behind, queue):
    sqs = behind(scripted("given again", operation="sqs.ReceiveMessage")).client("sqs")
    send(sqs, queue, "x")
    bodies(sqs, queue)
    ((_, other),) = bodies(sqs, queue)
    entries = [{"Id": "0", "ReceiptHandle": other, "VisibilityTimeout": 0}]
    assert not sqs.change_message_visibility_batch(QueueUrl=queue, Entries=entries).get("Failed")
    ((_, third),) = bodies(sqs, queue)
    entries = [{"Id": "0", "ReceiptHandle": third}]
    assert not sqs.delete_message_batch(QueueUrl=queue, Entries=entries).get("Failed")
    attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=attributes)["Attributes"]
    assert set(found.values()) == {"0"}


def test_what_is_handed_out_again_counts_against_the_most_that_are_asked_for(behind, queue):
    sqs = behind(scripted("given again", operation="sqs.ReceiveMessage")).client("sqs")
    send(sqs, queue, *"abc")
    assert len(bodies(sqs, queue)) == 3
    assert [len(bodies(sqs, queue, most=2)) for _ in range(3)] == [2, 1, 0]


def test_messages_come_in_another_order_than_they_were_sent(behind, queue):
    sqs = behind(always("reordered", operation="sqs.ReceiveMessage")).client("sqs")
    send(sqs, queue, *"abc")
    assert "".join(body for body, _ in bodies(sqs, queue)) == "cba"


def test_a_message_may_be_overtaken_by_what_is_sent_later(behind, queue):
    one = behind(always("reordered", operation="sqs.SendMessage", seconds=1))
    sqs = one.client("sqs")
    send(sqs, queue, "first")
    send(one.direct("sqs"), queue, "second")
    assert [body for body, _ in bodies(sqs, queue)] == ["second"]
    assert [body for body, _ in bodies(sqs, queue, wait=20)] == ["first"]


def test_counts_may_be_a_minute_behind(behind, queue):
    one = behind()
    sqs = one.client("sqs")

    def count():
        names = ["ApproximateNumberOfMessages"]
        return int(sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"][names[0]])

    assert count() == 0
    send(sqs, queue, "x")
    one.proxy.script = Script(always("behind", operation="sqs.GetQueueAttributes", seconds=60))
    assert count() == 0
    one.proxy.script = Script(always("behind", operation="sqs.GetQueueAttributes"))
    assert count() == 1
