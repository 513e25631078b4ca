"""Dead letters: their clients are told, they are kept for the operator, and none holds up another."""

import msgspec
import pytest
from test_background import submit, unstored

from skylens.errors import PoisonImageError, UndecodableImageError
from skylens.fakes import FakeQueue, aws_error
from skylens.messages import Failure, Reply, Request, decode, encode, read
from skylens.outcomes import read_outcome
from skylens.store import RECORD
from web_openstack.deadletters import DeadLetters
from web_openstack.metrics import WebMetrics


def dead_letters(web):
    return DeadLetters(
        FakeQueue(web.clock.clock()),
        web.queues,
        web.state,
        web.outputs,
        unstored(web),
        web.clock.clock(),
        WebMetrics(web.deps.jobs.demand),
    )


def test_the_client_of_a_dead_letter_is_told_and_the_letter_is_kept(web):
    request = submit(web)
    dead = dead_letters(web)
    dead.queue.send(encode(request))
    assert dead.poll() == 1
    assert dead.queue.messages == {}
    answer = web.client.simulate_get(f"/v1/images/{request.id}", params={"wait": "0"})
    (sent,) = web.queues.queues["skylens-replies-web-1"].messages.values()
    web.deps.jobs.settle(decode(Reply, sent.body))
    answer = web.client.simulate_get(f"/v1/images/{request.id}")
    assert (answer.status_code, answer.json["code"]) == (422, "poison-image")
    assert list(web.state.objects) == [f"dead/default/{request.id}"]


def test_dead_letters_are_counted_for_an_alarm_but_not_those_that_were_answered(web):
    dead, counted = dead_letters(web), "skylens_web_dead_letters_total"
    answered = submit(web)
    web.reply(answered)
    assert dead.metrics.registry.get_sample_value(counted) == 0
    for body in (encode(answered), encode(submit(web)), b'{"v": 7}'):
        dead.queue.send(body)
    dead.poll()
    assert dead.metrics.registry.get_sample_value(counted) == 2


def test_a_dead_letter_never_overwrites_an_answer(web):
    request = submit(web)
    reply = web.reply(request)
    dead = dead_letters(web)
    dead.queue.send(encode(request))
    dead.poll()
    assert decode(Reply, web.outputs.objects[f"default/{request.id}.json"][0]) == reply
    (sent,) = web.queues.queues["skylens-replies-web-1"].messages.values()
    assert decode(Reply, sent.body) == reply


@pytest.mark.parametrize("broken", ["state", "outputs"])
def test_a_crash_while_settling_a_dead_letter_repeats_it(web, broken):
    request = submit(web)
    dead = dead_letters(web)
    dead.queue.send(encode(request))
    getattr(web, broken).script.fail("put" if broken == "state" else "put_if", aws_error("SlowDown", 503))
    with pytest.raises(Exception, match="SlowDown"):
        dead.poll()
    web.clock.sleep(31)
    assert dead.poll() == 1
    assert f"default/{request.id}.json" in web.outputs.objects


def test_after_a_dead_letter_is_retried_its_client_finds_the_new_answer_at_this_node_too(web):
    request = submit(web)
    web.deps.jobs.settle(web.reply(request, failure=PoisonImageError()))
    assert web.client.simulate_get(f"/v1/images/{request.id}").json["code"] == PoisonImageError.code
    web.deps.jobs.settle(web.reply(request))
    assert web.client.simulate_get(f"/v1/images/{request.id}").json["labels"][0]["label"] == "cat"


def test_an_unreadable_dead_letter_is_kept_for_the_operator(web):
    dead = dead_letters(web)
    dead.queue.send(b'{"v": 7}')
    dead.poll()
    (place,) = web.state.objects
    assert place.startswith("dead/unreadable/")
    assert dead.queue.messages == {}


def test_two_unreadable_dead_letters_of_one_moment_are_both_kept(web):
    dead = dead_letters(web)
    dead.queue.send(b'{"v": 7}')
    dead.queue.send(b'{"v": 8}')
    dead.poll()
    assert len(web.state.objects) == 2


@pytest.mark.parametrize("body", [b"nonsense", bytes(RECORD + 1), None, "uncarried", "no text"])
def test_an_outcome_that_is_none_stops_no_other_dead_letter(web, body):
    """As a worker in wrong hands may store it; ``None``: it says that it is another job's."""
    first, second = submit(web), submit(web)
    foreign = Reply(id=second.id, tenant="default", failure=Failure.of(UndecodableImageError("x")))
    if body is None:
        body = encode(foreign)
    elif isinstance(body, str):  # SQS refuses it as it is
        own = Reply(id=first.id, tenant="default", failure=Failure.of(UndecodableImageError("\uffff")))
        body = msgspec.json.encode(own) if body == "uncarried" else encode(own)[:-1] + b',"new":"\xff"}'
    web.outputs.put(f"default/{first.id}.json", body, "application/json")
    dead = dead_letters(web)
    for request in (first, second):
        dead.queue.send(encode(request))
    assert dead.poll() == 2
    assert dead.queue.messages == {}
    told = [read(Reply, message.body) for message in web.queues.queues["skylens-replies-web-1"].messages.values()]
    assert [(reply.id, reply.failure.code) for reply in told] == [
        (request.id, PoisonImageError.code) for request in (first, second)
    ]


def test_an_outcome_that_s3_never_gives_out_stops_no_other_dead_letter(web):
    first, second = submit(web), submit(web)
    web.outputs.put(f"default/{first.id}.json", b"archived", "application/json")
    web.outputs.script.fail("get", aws_error("InvalidObjectState", 403))
    dead = dead_letters(web)
    for request in (first, second):
        dead.queue.send(encode(request))
    assert dead.poll() == 2
    assert dead.queue.messages == {}


def test_a_round_settles_what_there_is_for_some_seconds_only(web):
    dead, requests = dead_letters(web), [submit(web) for _ in range(25)]
    for request in requests:
        dead.queue.send(encode(request))
    dead.keep()
    assert dead.queue.messages == {}
    for request in requests:
        dead.queue.send(encode(request))
    receive = dead.queue.receive
    dead.queue.receive = lambda *how: web.clock.sleep(1.5) or receive(*how)
    dead.keep()
    assert len(dead.queue.messages) == 5


@pytest.mark.parametrize("trouble", [aws_error("SlowDown", 503), RuntimeError("a fault of ours")])
def test_trouble_with_one_dead_letter_keeps_no_other(web, trouble):
    first, second = submit(web), submit(web)
    web.outputs.script.fail("put_if", trouble)
    dead = dead_letters(web)
    for request in (first, second):
        dead.queue.send(encode(request))
    with pytest.raises(type(trouble)):
        dead.poll()
    assert [read(Request, message.body).id for message in dead.queue.messages.values()] == [first.id]
    assert read_outcome(f"default/{second.id}.json", web.outputs.get(f"default/{second.id}.json")).failure
