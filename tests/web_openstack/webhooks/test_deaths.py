"""Whatever dies or fails in between, the event goes out, under the same id."""

import pytest
import structlog
from deletions import beside
from hooked import SETTING, URL, Receiver, answer, courier, pending, post, turns

from skylens.fakes import aws_error
from web_openstack.webhooks.agenda import Place
from web_openstack.webhooks.courier import CLAIM
from web_openstack.webhooks.events import ORPHAN


def test_a_process_that_dies_before_it_delivers_leaves_it_to_the_next(web, make_web, receiver):
    job = post(web).json["id"]
    answer(web)
    after = beside(web, make_web(webhook_secrets=SETTING))
    courier(after, receiver).turn()
    assert receiver.ids == [job]
    assert pending(after) == []


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("call", ["get", "put_if", "delete"])
def test_wherever_a_process_dies_the_event_goes_out_under_the_same_id(web, make_web, receiver, call):
    job = post(web).json["id"]
    answer(web)
    web.state.script.fail(call, KilledError())
    with pytest.raises(KilledError):
        courier(web, receiver).turn()
    told = len(receiver.got)
    assert told == (call == "delete")
    after = beside(web, make_web(webhook_secrets=SETTING))
    after.clock.time = web.clock.time
    turns(courier(after, receiver), after, CLAIM + 5)
    assert receiver.ids == [job] * (told + 1)
    assert pending(after) == []


def test_a_claim_keeps_others_away_until_it_runs_out(web, make_web):
    other = beside(web, make_web(webhook_secrets=SETTING))
    other.clock.time = web.clock.time
    slow, quick = Receiver(KilledError()), Receiver(200)
    post(web)
    answer(web)
    with pytest.raises(KilledError):
        courier(web, slow).turn()
    taker = courier(other, quick)
    turns(taker, other, CLAIM - 5)
    assert quick.got == []
    turns(taker, other, 10)
    assert quick.ids == slow.ids


def test_of_two_nodes_that_find_it_at_once_one_sends_it(web, make_web, receiver):
    other = beside(web, make_web(webhook_secrets=SETTING))
    other.clock.time = web.clock.time
    post(web)
    answer(web)
    late = courier(other, receiver)
    receiver.meanwhile = late.turn
    turns(courier(web, receiver), web, 10)
    turns(late, other, 200)
    assert len(receiver.got) == 1


def test_another_nodes_new_ones_are_left_to_it_for_a_minute(web, make_web, receiver):
    other = beside(web, make_web(webhook_secrets=SETTING))
    other.clock.time = web.clock.time
    taker = courier(other, receiver)
    taker.turn()
    post(web)
    answer(web)
    turns(taker, other, 55)
    assert receiver.got == []
    turns(taker, other, 40)
    assert len(receiver.got) == 1


def test_what_was_delivered_elsewhere_is_forgotten_here(web, make_web, receiver):
    post(web)
    answer(web)
    other = beside(web, make_web(webhook_secrets=SETTING))
    courier(other, receiver).turn()
    assert len(web.deps.hooks.agenda) == 1
    web.clock.sleep(1)
    courier(web, receiver).turn()
    assert len(web.deps.hooks.agenda) == 0
    assert len(receiver.got) == 1


def test_a_request_that_broke_off_before_its_image_was_stored_leaves_nothing_for_ever(web, receiver):
    web.deps.hooks.register(Place("default", web.deps.jobs.new_id()), "image", URL)
    web.deps.hooks.register(Place("default", web.deps.jobs.new_id()), "batch", URL)
    work = courier(web, receiver)
    turns(work, web, ORPHAN - 60, step=10)
    assert len(pending(web)) == 2
    turns(work, web, 180, step=10)
    assert (pending(web), receiver.got) == ([], [])


@pytest.mark.parametrize(
    ("store", "call"),
    [("state", "keys"), ("state", "get"), ("outputs", "get"), ("state", "put_if"), ("state", "delete")],
)
def test_an_outage_of_aws_delays_it(web, receiver, store, call):
    job = post(web).json["id"]
    answer(web)
    getattr(web, store).script.fail(call, aws_error("SlowDown", 503))
    turns(courier(web, receiver), web, CLAIM + 15)
    assert set(receiver.ids) == {job}
    assert len(receiver.got) == 1 + (call == "delete")
    assert pending(web) == []


def test_what_cannot_be_read_and_what_is_no_webhook_stop_nobody(web, receiver):
    web.state.put("webhooks/default/readme.txt", b"", "text/plain")
    web.state.put(f"webhooks/default/{web.deps.jobs.new_id()}", b"{", "application/json")
    job = post(web).json["id"]
    answer(web)
    with structlog.testing.capture_logs() as lines:
        turns(courier(web, receiver), web, 60)
    assert receiver.ids == [job]
    assert [line["event"] for line in lines].count("webhook.not_looked_at") == 1
