"""Answers go to the deployment's own reply queues, whatever queue a message names."""

import pytest

from skylens.fakes import FakeQueues
from skylens.reply_to import OwnReplies


@pytest.fixture
def queues():
    made = FakeQueues()
    for name in ("skylens-replies-web-1", "skylens-requests", "other-replies-web-1"):
        made.ensure(name, {}, 60)
    return made


def test_one_of_ours_is_sent_to_if_it_is_there(queues):
    replies = OwnReplies(queues, "skylens-replies-")
    assert replies.send("skylens-replies-web-1", b"x")
    assert not replies.send("skylens-replies-gone", b"x")
    (sent,) = queues.queues["skylens-replies-web-1"].messages.values()
    assert sent.body == "x"


@pytest.mark.parametrize("name", ["skylens-requests", "other-replies-web-1", "", "replies-web-1"])
def test_any_other_counts_as_gone_and_gets_nothing(queues, name):
    assert not OwnReplies(queues, "skylens-replies-").send(name, b"x")
    assert not any(queue.messages for queue in queues.queues.values())
