"""One queue, over the fake and over SQS: see conftest."""

import time

from port_suite import DEADLINE, MAX_RECEIVES, together, until

from skylens.gathered import GatheredQueue
from skylens.queues import Counts, Outgoing


def test_a_message_arrives_as_it_was_sent_with_its_time_and_its_count(queue):
    queue.send('{"name":"\N{GRINNING FACE} <&> \\n"}'.encode())
    ((body, receipt, receives, sent),) = queue.receive(10, wait=1)
    assert body == '{"name":"\N{GRINNING FACE} <&> \\n"}'
    assert receipt
    assert receives == 1
    assert abs(sent - time.time()) < DEADLINE


def test_no_more_are_received_than_asked_for_and_all_come_in_the_end(queue):
    for number in range(25):
        queue.send(str(number).encode())
    seen = []
    while len(seen) < 25:
        some = queue.receive(7, wait=1)
        assert 1 <= len(some) <= 7
        seen += [message.body for message in some]
    assert sorted(seen, key=int) == [str(number) for number in range(25)]


def test_an_empty_queue_gives_an_empty_list(queue):
    assert queue.receive(10, wait=0) == []


def test_a_waiting_receiver_gets_what_is_sent_meanwhile(queue):
    def receive():
        return until(lambda: queue.receive(1, wait=5))

    found, _ = together([receive, lambda: queue.send(b"late")])
    assert [message.body for message in found] == ["late"]


def test_a_received_message_is_hidden_until_deleted(queue):
    queue.send(b"x")
    (first,) = queue.receive(1, wait=1)
    assert queue.receive(1, wait=0) == []
    assert queue.counts() == Counts(visible=0, in_flight=1)
    queue.delete([first.receipt])
    assert queue.counts() == Counts(visible=0, in_flight=0)


def test_counts_tell_waiting_from_hidden(queue):
    for number in range(5):
        queue.send(str(number).encode())
    queue.receive(2, wait=1)
    assert queue.counts() == Counts(visible=3, in_flight=2)


def test_an_undeleted_message_comes_again_with_a_higher_count_and_another_receipt(make_queue):
    queue, _ = make_queue(visibility=1)
    queue.send(b"x")
    (first,) = queue.receive(1, wait=1)
    (second,) = until(lambda: queue.receive(1, wait=1))
    assert (first.receives, second.receives) == (1, 2)
    assert first.receipt != second.receipt
    assert first.sent == second.sent


def test_extending_by_nothing_gives_the_message_back_at_once(queue):
    queue.send(b"x")
    (first,) = queue.receive(1, wait=1)
    queue.extend([first.receipt], 0)
    (second,) = until(lambda: queue.receive(1, wait=1))
    assert second.receives == 2


def test_extending_hides_longer_than_the_queue_would(make_queue):
    queue, _ = make_queue(visibility=1)
    for body in (b"kept", b"let go"):
        queue.send(body)
    kept = until(lambda: [message for message in queue.receive(10, wait=1) if message.body == "kept"])
    queue.extend([kept[0].receipt], 60)
    assert [message.body for message in until(lambda: queue.receive(10, wait=1))] == ["let go"]
    assert queue.counts().in_flight >= 1


def test_more_receipts_than_one_call_takes_are_extended_and_deleted(queue):
    for number in range(23):
        queue.send(str(number).encode())
    held = []
    while len(held) < 23:
        held += queue.receive(10, wait=1)
    queue.extend([message.receipt for message in held], 0)
    until(lambda: queue.counts() == Counts(visible=23, in_flight=0))
    held = []
    while len(held) < 23:
        held += queue.receive(10, wait=1)
    queue.delete([message.receipt for message in held])
    assert queue.counts() == Counts(0, 0)


def test_deliveries_that_are_no_longer_valid_are_passed_over(queue):
    for body in (b"done", b"more"):
        queue.send(body)
    held = []
    while len(held) < 2:
        held += queue.receive(2, wait=1)
    gone, more = held
    queue.delete([gone.receipt])
    queue.delete([gone.receipt, more.receipt])
    queue.extend([gone.receipt], 5)
    assert queue.counts() == Counts(0, 0)


def test_no_receipts_are_no_call(queue):
    queue.delete([])
    queue.extend([], 5)


def test_after_five_receives_a_message_moves_to_the_dead_letters(make_queue):
    queue, dead = make_queue()
    queue.send(b"poison")
    for count in range(1, MAX_RECEIVES + 1):
        (held,) = until(lambda: queue.receive(1, wait=1))
        assert held.receives == count
        assert dead.counts() == Counts(0, 0)
        queue.extend([held.receipt], 0)
    assert queue.receive(1, wait=1) == []
    (found,) = until(lambda: dead.receive(1, wait=1))
    assert found.body == "poison"
    assert queue.counts() == Counts(0, 0)


def test_two_receivers_share_the_messages(queue):
    for number in range(30):
        queue.send(str(number).encode())

    def drain():
        mine = []
        while some := queue.receive(4, wait=0):
            mine += [message.body for message in some]
            queue.delete([message.receipt for message in some])
        return mine

    one, two = together([drain, drain])
    rest = drain()  # an empty answer is no proof of an empty queue
    assert sorted(one + two + rest, key=int) == [str(number) for number in range(30)]


def test_many_are_sent_in_one_call_and_each_arrives(queue):
    assert queue.send_many([Outgoing(str(number).encode()) for number in range(10)]) == [None] * 10
    seen = []
    while len(seen) < 10:
        seen += [message.body for message in queue.receive(10, wait=1)]
    assert sorted(seen) == [str(number) for number in range(10)]


def test_a_group_orders_and_blocks_nothing(queue):
    queue.send(b"0", "acme")
    assert queue.send_many([Outgoing(b"1", "acme"), Outgoing(b"2", "globex"), Outgoing(b"3", "a." * 64)]) == [None] * 3
    seen = []
    while len(seen) < 4:
        seen += [message.body for message in queue.receive(1, wait=1)]
    assert sorted(seen) == ["0", "1", "2", "3"]


def test_a_gathered_queue_is_a_queue_like_another(queue):
    gathered = GatheredQueue(queue, lambda: True, send_linger=0.1, delete_linger=0.1)
    together([lambda number=number: gathered.send(str(number).encode()) for number in range(12)])
    seen = []
    while len(seen) < 12:
        seen += gathered.receive(10, wait=1)
    assert sorted(int(one.body) for one in seen) == list(range(12))
    together([lambda one=one: gathered.delete([one.receipt]) for one in seen])
    until(lambda: gathered.counts() == Counts(0, 0))
