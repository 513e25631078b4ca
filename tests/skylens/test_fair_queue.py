"""The fake of SQS is as fair as its fair queues: who keeps much in work is passed over for the others."""

from skylens.fakes import NOISY, FakeQueue
from skylens.queues import Outgoing


def bodies(queue, most=1):
    return [message.body for message in queue.receive(most, wait=0)]


def test_a_message_of_a_quiet_group_comes_before_the_backlog_of_a_noisy_one():
    queue = FakeQueue()
    queue.send_many([Outgoing(b"greedy", "greedy")] * (2 * NOISY))
    queue.send(b"polite", "polite")
    assert set(bodies(queue, NOISY - 1)) == {"greedy"}
    assert bodies(queue) == ["greedy"]
    assert bodies(queue) == ["polite"]
    assert bodies(queue) == ["greedy"]


def test_without_groups_messages_come_in_order():
    queue = FakeQueue()
    for number in range(2 * NOISY):
        queue.send(str(number).encode())
    assert bodies(queue, 2 * NOISY) == [str(number) for number in range(2 * NOISY)]


def test_a_dead_letter_keeps_its_group():
    dead = FakeQueue()
    queue = FakeQueue(dead=dead, max_receives=1)
    queue.send(b"x", "acme")
    (held,) = queue.receive(1, wait=0)
    queue.extend([held.receipt], 0)
    queue.receive(1, wait=0)
    assert [message.group for message in dead.messages.values()] == ["acme"]
