"""What a client was told is what the bucket says, also when the worker that told it died before it stored it."""

import msgspec
import pytest
from deletions import delete, made, take_in

from skylens.errors import PoisonImageError
from skylens.fakes import FakeQueue, aws_error
from skylens.messages import Failure, Reply, decode, encode
from web_openstack import unstored
from web_openstack.deadletters import DeadLetters
from web_openstack.replies import ReplyThread
from web_openstack.unstored import GRACE, Unstored


class Node:
    """The threads of one web process that answers pass through."""

    def __init__(self, web):
        clock, self.replied, dead = web.clock.clock(), FakeQueue(web.clock.clock()), FakeQueue(web.clock.clock())
        self.unstored = Unstored(web.outputs, clock)
        self._replies = ReplyThread(lambda: self.replied, web.deps.jobs, self.unstored, web.deps.metrics, clock)
        self.dead = DeadLetters(dead, web.queues, web.state, web.outputs, self.unstored, clock, web.deps.metrics)

    def hears(self, reply):
        self.replied.send(reply if isinstance(reply, bytes) else encode(reply))
        self._replies.poll(0)

    def buries(self, request):
        self.dead.queue.send(encode(request))
        self.dead.poll()


def outcome(web, request):
    held = web.outputs.objects.get(f"default/{request.id}.json")
    return held and decode(Reply, held[0])


def told(web, request):
    return web.client.simulate_get(f"/v1/images/{request.id}").json["labels"][0]["label"]


def test_an_answer_that_no_worker_stored_is_stored_by_the_door_that_told_it(web):
    node, request = Node(web), take_in(web)
    reply = made(web, request)
    node.hears(reply)
    assert told(web, request) == "cat"
    web.clock.sleep(GRACE)
    node.unstored.look()
    assert outcome(web, request) == reply
    assert len(node.unstored) == 0


def test_a_dead_letter_at_any_node_then_finds_what_its_client_was_told(web):
    node, request = Node(web), take_in(web)
    reply = made(web, request)
    node.hears(reply)
    web.clock.sleep(GRACE)
    node.unstored.look()
    Node(web).buries(request)
    assert outcome(web, request) == reply


def test_a_dead_letter_never_contradicts_what_its_own_node_has_told_however_soon_it_comes(web):
    node, request = Node(web), take_in(web)
    reply = made(web, request)
    node.hears(reply)
    node.buries(request)
    assert outcome(web, request) == reply
    assert web.deps.metrics.dead._value.get() == 0


def test_a_dead_letter_waits_while_that_cannot_be_stored(web):
    node, request = Node(web), take_in(web)
    reply = made(web, request)
    node.hears(reply)
    web.outputs.script.fail("put_if", aws_error("SlowDown", 503))
    with pytest.raises(Exception, match="SlowDown"):
        node.buries(request)
    assert outcome(web, request) is None
    web.clock.sleep(31)
    node.dead.poll()
    assert outcome(web, request) == reply


def test_what_is_stored_costs_one_listing_for_all_and_no_write(web):
    node = Node(web)
    for width in range(4, 24):
        node.hears(web.reply(take_in(web, width)))
    web.clock.sleep(GRACE)
    web.outputs.script.calls.clear()
    node.unstored.look()
    assert [call[0] for call in web.outputs.script.calls] == ["keys"]
    assert len(node.unstored) == 0


def test_a_worker_gets_its_time_to_store(web):
    node, request = Node(web), take_in(web)
    node.hears(made(web, request))
    web.clock.sleep(GRACE - 1)
    node.unstored.look()
    assert (outcome(web, request), len(node.unstored)) == (None, 1)


def test_of_many_answers_on_many_pages_and_of_several_tenants_those_that_lack_are_stored(web, monkeypatch):
    monkeypatch.setattr(unstored, "PAGE", 2)
    node, wanted = Node(web), {}
    for number in range(12):
        reply = made(web, take_in(web, 4 + number))
        reply = msgspec.structs.replace(reply, tenant=("a", "a-b", "b")[number % 3])
        place = f"{reply.tenant}/{reply.id}.json"
        wanted[place] = encode(reply)
        if number % 4:
            web.outputs.put(place, encode(reply), "application/json")
        web.deps.jobs.demand.accepted(reply.id, reply.tenant)
        node.hears(reply)
    web.clock.sleep(GRACE)
    node.unstored.look()
    assert {place: held[0] for place, held in web.outputs.objects.items()} == wanted


def test_an_answer_that_nobody_here_asked_for_is_not_kept(web):
    node, request = Node(web), take_in(web)
    node.hears(msgspec.structs.replace(made(web, request), id=web.deps.jobs.new_id()))
    assert len(node.unstored) == 0
    web.deps.jobs.demand.withdrawn(request.id, "default")  # of another node, or of the process before
    with web.deps.jobs.waiters.expect(request.id, "default"):
        node.hears(made(web, request))
    assert len(node.unstored) == 1


def test_a_look_ends_after_some_seconds_so_that_other_chores_have_their_turn(web, monkeypatch):
    monkeypatch.setattr(unstored, "SLICE", 2)
    node, requests = Node(web), [take_in(web, 4 + number) for number in range(7)]
    for request in requests:
        node.hears(made(web, request))
    web.clock.sleep(GRACE)
    keys = web.outputs.keys
    web.outputs.keys = lambda *where: web.clock.sleep(1) or keys(*where)
    for left in (3, 0):
        node.unstored.look()
        assert len(node.unstored) == left


def test_an_outage_keeps_what_is_to_be_stored(web):
    node, request = Node(web), take_in(web)
    reply = made(web, request)
    node.hears(reply)
    web.clock.sleep(GRACE)
    web.outputs.script.fail("keys", aws_error("SlowDown", 503))
    with pytest.raises(Exception, match="SlowDown"):
        node.unstored.look()
    node.unstored.look()
    assert outcome(web, request) == reply


def test_a_newer_workers_answer_is_stored_as_it_came(web):
    node, request = Node(web), take_in(web)
    body = encode(msgspec.to_builtins(made(web, request)) | {"of_a_later_release": 1})
    node.hears(body)
    web.clock.sleep(GRACE)
    node.unstored.look()
    assert web.outputs.objects[f"default/{request.id}.json"][0] == body


def test_what_was_deleted_or_stored_meanwhile_stays_as_it_is(web):
    node, gone, other = Node(web), take_in(web), take_in(web)
    node.hears(made(web, gone))
    node.hears(made(web, other))
    assert delete(web, gone.id).status_code == 204
    stored = web.reply(other, label="dog")
    web.clock.sleep(GRACE)
    node.unstored.look()
    assert outcome(web, gone).failure.code == "deleted"
    assert outcome(web, other) == stored


def test_what_the_door_answers_by_itself_is_not_kept(web):
    node, request = Node(web), take_in(web)
    node.hears(Reply(id=request.id, tenant="default", failure=Failure.of(PoisonImageError())))
    assert len(node.unstored) == 0


def test_the_oldest_go_first_when_there_are_too_many(web):
    kept = Unstored(web.outputs, web.clock.clock(), most=2)
    replies = [made(web, take_in(web)) for _ in range(3)]
    for reply in replies:
        kept.add(reply, encode(reply))
    web.clock.sleep(GRACE)
    kept.look()
    assert sorted(web.outputs.objects) == [f"default/{reply.id}.json" for reply in replies[1:]]


def test_what_waits_is_bounded_by_number_and_by_bytes_and_the_oldest_goes_first(web):
    node, requests = Node(web), [take_in(web, 4 + number) for number in range(6)]
    size = len(encode(made(web, requests[0])))
    node.unstored.most, node.unstored.most_bytes = 5, 3 * size + 50
    for request in requests:
        node.hears(made(web, request))
    assert len(node.unstored) == 3
    web.clock.sleep(GRACE)
    node.unstored.look()
    assert [outcome(web, request) is not None for request in requests] == [False] * 3 + [True] * 3
    node.unstored.most = 2
    for request in requests:
        web.deps.jobs.demand.accepted(request.id, "default")
        node.hears(made(web, request))
    assert len(node.unstored) == 2
