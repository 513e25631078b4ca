"""Queues by name and by tag, over the fake and over SQS: see conftest."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from port_suite import together, until

from skylens.aws_errors import is_gone
from skylens.gathered import GatheredReplies
from skylens.queues import SqsQueues
from skylens.resources import declared


def test_a_reply_queue_is_made_once_found_by_name_and_gone_once_removed(queues):
    name = f"x-{uuid.uuid4().hex}"
    assert queues.send(name, b"nobody") is False
    made = queues.ensure(name, {"skylens:node": "web-1"}, 3600)
    again = queues.ensure(name, {"skylens:node": "web-1"}, 3600)
    assert queues.send(name, b"hello") is True
    assert [message.body for message in until(lambda: made.receive(1, wait=1))] == ["hello"]
    again.send(b"same")
    assert [message.body for message in until(lambda: made.receive(1, wait=1))] == ["same"]
    queues.remove(made)
    assert until(lambda: queues.send(name, b"nobody") is False)


def test_tags_are_set_changed_and_found_by_prefix(queues):
    prefix = f"p{uuid.uuid4().hex}-"
    one = queues.ensure(f"{prefix}one", {"owner": "a", "beat": "1"}, 3600)
    queues.ensure(f"{prefix}two", {"owner": "b"}, 3600)
    queues.ensure(f"other-{uuid.uuid4().hex}", {"owner": "c"}, 3600)
    queues.tag(one, {"beat": "2"})
    found = [tags for _, tags in queues.tagged(prefix)]
    assert sorted(found, key=lambda tags: tags["owner"]) == [{"owner": "a", "beat": "2"}, {"owner": "b"}]
    for queue, _ in queues.tagged(prefix):
        queues.remove(queue)
    assert queues.tagged(prefix) == []


def test_what_somebody_else_set_is_taken_back(aws):
    queues, name, target = SqsQueues(aws.sqs(), aws.sqs_polling()), f"x-{uuid.uuid4().hex}", f"y-{uuid.uuid4().hex}"
    asked = {"QueueUrl": queues.ensure(target, {}, 3600).url, "AttributeNames": ["QueueArn"]}
    arn = aws.sqs().get_queue_attributes(**asked)["Attributes"]["QueueArn"]
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": arn.replace(target, name)}
    theirs = {
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": [everybody]}),
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1}),
        "DelaySeconds": "900",
        "MaximumMessageSize": "1024",
        "MessageRetentionPeriod": "60",
    }
    aws.sqs().create_queue(QueueName=name, Attributes=theirs)
    ours = queues.ensure(name, {}, 3600)
    queues.reset(ours, declared().reply_queues)
    found = aws.sqs().get_queue_attributes(QueueUrl=ours.url, AttributeNames=["All"])["Attributes"]
    assert not found.get("Policy")
    assert not found.get("RedrivePolicy")
    wanted = {"DelaySeconds": "0", "MaximumMessageSize": "262144", "MessageRetentionPeriod": "86400"}
    assert found | wanted == found
    ours.send(b"x" * 2000)
    assert [len(message.body) for message in until(lambda: ours.receive(1, wait=1))] == [2000]


def test_a_queue_that_was_removed_by_another_is_gone_for_its_holder(aws):
    queues = SqsQueues(aws.sqs(), aws.sqs_polling())
    made = queues.ensure(f"x-{uuid.uuid4().hex}", {}, 3600)
    queues.remove(made)
    for call in (lambda: made.send(b"x"), lambda: made.receive(1, wait=0), made.counts):
        with pytest.raises(ClientError) as raised:
            call()
        assert is_gone(raised.value)
    with pytest.raises(ClientError) as raised:
        queues.named("never-made")
    assert is_gone(raised.value)


def test_a_receiver_may_hide_for_another_time_than_the_queue_would(aws):
    queues = SqsQueues(aws.sqs(), aws.sqs_polling())
    name = f"x-{uuid.uuid4().hex}"
    queues.ensure(name, {}, 3600).send(b"x")  # hides for SQS's 30 seconds
    short = queues.named(name, visibility=0)
    assert [message.receives for message in until(lambda: short.receive(1, wait=1))] == [1]
    (again,) = queues.named(name).receive(1, wait=0)
    assert again.receives == 2
    assert short.receive(1, wait=0) == []


def test_gathered_replies_find_a_queue_that_was_made_anew(aws):
    queues, name = SqsQueues(aws.sqs(), aws.sqs_polling()), f"x-{uuid.uuid4().hex}"
    replies = GatheredReplies(queues, lambda: True, linger=0.1)
    assert replies.send(name, b"nobody") is False
    made = queues.ensure(name, {}, 3600)
    assert together([lambda: replies.send(name, b"hello")] * 3) == [True] * 3
    queues.remove(made)
    assert until(lambda: replies.send(name, b"nobody") is False)
    again = queues.ensure(name, {}, 3600)
    assert replies.send(name, b"back") is True
    assert [message.body for message in until(lambda: again.receive(1, wait=1))] == ["back"]
