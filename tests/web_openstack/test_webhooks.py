"""Webhooks: each is promised before its request is answered, and told at least once, whatever happens in between."""

import hashlib
import itertools
import json

import pytest
import structlog
from deletions import beside, delete, remembering
from hooked import PNG, SETTING, TOLD, URL, Receiver, count, courier, pending, post, turns
from keyed import until
from receivers import SECRET, is_signed
from web_tier import multipart, picture

from skylens.errors import UndecodableImageError
from skylens.fakes import aws_error
from web_openstack.webhooks.agenda import MOST_OF_TENANT, Place
from web_openstack.webhooks.courier import CLAIM, backoff, host
from web_openstack.webhooks.events import ORPHAN
from web_openstack.webhooks.post import UndeliveredError
from web_openstack.webhooks.signature import keys
from web_openstack.webhooks.target import HEADER


@pytest.fixture
def web(make_web):
    return make_web(webhook_secrets=SETTING)


@pytest.fixture
def receiver():
    return Receiver()


def answer(web, failure=None):
    """The workers answer all that waits."""
    for request in web.taken():
        web.deps.jobs.settle(web.reply(request, failure=failure))
    web.requests.messages.clear()


# -- one image ------------------------------------------------------------------------------------------------------


def test_who_posts_with_a_callback_gets_202_at_once_and_one_signed_event_later(web, receiver):
    asked = post(web)
    job = asked.json["id"]
    assert (asked.status_code, asked.headers["Location"]) == (202, f"/v1/images/{job}")
    work = courier(web, receiver)
    turns(work, web, 5)
    assert receiver.got == []
    answer(web)
    work.turn()
    ((target, headers, body),) = receiver.got
    assert (target.host, target.path) == ("receiver.example", "/hook?token=s3cret")
    assert is_signed(headers, body)
    assert headers["webhook-id"] == job
    event = json.loads(body)
    assert event["type"] == "image.done"
    assert (event["data"]["id"], event["data"]["status"]) == (job, "done")
    assert event["data"]["result"] == web.client.simulate_get(f"/v1/images/{job}").json
    assert pending(web) == []
    turns(work, web, 3600, step=20)
    assert len(receiver.got) == 1
    assert count(web, "delivered") == 1


def test_a_failed_image_is_told_as_that(web, receiver):
    job = post(web).json["id"]
    answer(web, failure=UndecodableImageError("it is torn"))
    courier(web, receiver).turn()
    (event,) = receiver.events
    assert event["type"] == "image.failed"
    assert event["data"]["error"] == {"code": "undecodable-image", "detail": "it is torn"}
    assert event["data"]["id"] == job


def test_a_wait_that_was_asked_for_is_not_waited(web):
    asked = post(web, Prefer="wait=20")
    assert asked.status_code == 202
    assert "Preference-Applied" not in asked.headers


def test_an_image_whose_answer_is_known_is_told_too(make_web, receiver):
    web = remembering(make_web(webhook_secrets=SETTING))
    web.client.simulate_post("/v1/images", body=picture(), headers=PNG | {"Prefer": "respond-async"})
    answer(web)
    job = post(web).json["id"]
    assert web.taken() == []
    turns(courier(web, receiver), web, 2)
    (event,) = receiver.events
    assert event["data"]["id"] == job
    assert event["data"]["result"]["same_as"]


def test_an_answer_that_comes_before_it_is_stored_waits_for_the_bucket(web, receiver):
    post(web)
    work = courier(web, receiver)
    before = dict(web.outputs.objects)
    reply = web.reply(web.taken()[0])
    stored, web.outputs.objects = web.outputs.objects, before
    web.clock.sleep(100)
    web.deps.jobs.settle(reply)
    work.turn()
    assert receiver.got == []
    web.outputs.objects = stored
    turns(work, web, 2)
    assert len(receiver.got) == 1


def test_a_callback_is_kept_before_the_image_is_queued(web):
    order = []
    web.state.script.called = lambda method, *_: order.append(f"state.{method}")
    web.requests.script.called = lambda method, *_: order.append(f"requests.{method}")
    post(web)
    assert order[:2] == ["state.put_if", "requests.send"]


def test_a_callback_that_cannot_be_kept_takes_nothing_in(web):
    web.state.script.fail("put_if", aws_error("SlowDown", 503))
    refused = post(web)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert (web.inputs.objects, web.taken(), len(web.deps.hooks.agenda)) == ({}, [], 0)


def test_an_image_that_is_not_taken_in_leaves_no_callback(web):
    web.inputs.script.fail("put", aws_error("SlowDown", 503))
    assert post(web).status_code == 503
    assert (pending(web), len(web.deps.hooks.agenda)) == ([], 0)
    assert web.client.simulate_post("/v1/images", body=b"no image", headers=PNG | TOLD).status_code == 415
    assert pending(web) == []


# -- who may have one -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://receiver.example/", "https://127.0.0.1/", "https://169.254.169.254/", "x", ""])
@pytest.mark.parametrize("path", ["/v1/images", "/v1/batches"])
def test_a_url_that_may_not_be_reached_is_refused_and_nothing_is_taken_in(web, path, url):
    body, form = multipart(("f", "a.png", picture()))
    refused = web.client.simulate_post(path, body=body, headers=form | {HEADER: url})
    assert (refused.status_code, refused.json["code"]) == (400, "bad-request")
    assert HEADER in refused.json["detail"]
    assert (web.inputs.objects, web.state.objects) == ({}, {})


def test_without_a_secret_nothing_is_promised(make_web):
    for web in (make_web(), make_web(webhook_secrets=f"other:{SECRET}")):
        refused = post(web)
        assert refused.status_code == 400
        assert "no secret for this tenant" in refused.json["detail"]


def test_a_tenant_may_have_so_many_and_another_is_none_the_worse(make_web):
    keys_of = {tenant: f"key of {tenant}" for tenant in ("here", "there")}
    hashes = " ".join(f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in keys_of.items())
    web = make_web(api_keys=hashes, webhook_secrets=f"here:{SECRET} there:{SECRET}")
    for number in range(MOST_OF_TENANT):
        web.deps.hooks.agenda.add(Place("here", str(number)))
    headers = {name: {"Authorization": f"Bearer {key}"} for name, key in keys_of.items()}
    refused = post(web, **headers["here"])
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    assert web.inputs.objects == {}
    assert post(web, **headers["there"]).status_code == 202
    assert web.deps.metrics.registry.get_sample_value("skylens_web_webhooks_pending") == MOST_OF_TENANT + 1


def test_a_tenants_events_are_signed_with_its_own_secrets_the_old_and_the_new(web, receiver):
    other = "whsec_" + "b" * 40
    post(web)
    answer(web)
    courier(web, receiver, secrets=keys([f"default:{other}", SETTING, "there:whsec_" + "c" * 40])).turn()
    ((_, headers, body),) = receiver.got
    assert is_signed(headers, body, other)
    assert is_signed(headers, body, SECRET)
    assert not is_signed(headers, body, "whsec_" + "c" * 40)
    assert len(headers["webhook-signature"].split()) == 2


# -- repeats of a request -------------------------------------------------------------------------------------------


def test_a_repeat_with_the_same_idempotency_key_is_told_once(web, receiver):
    first, second = (post(web, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json["id"] == second.json["id"]
    answer(web)
    work = courier(web, receiver)
    work.turn()
    assert post(web, **{"Idempotency-Key": "k"}).json["id"] == first.json["id"]
    turns(work, web, 100)
    assert receiver.ids == [first.json["id"]]


@pytest.mark.parametrize("other", [None, "https://other.example/"])
def test_the_same_idempotency_key_with_another_callback_is_another_request(web, other):
    post(web, **{"Idempotency-Key": "k"})
    headers = PNG | {"Idempotency-Key": "k"} | ({HEADER: other} if other else {})
    assert web.client.simulate_post("/v1/images", body=picture(), headers=headers).status_code == 409


def test_a_door_that_died_after_it_kept_the_callback_is_made_good_by_the_repeat(web, receiver):
    web.inputs.script.fail("put", aws_error("SlowDown", 503))
    assert post(web, **{"Idempotency-Key": "k"}).status_code == 503
    job = post(web, **{"Idempotency-Key": "k"}).json["id"]
    assert pending(web) == [f"webhooks/default/{job}"]
    answer(web)
    turns(courier(web, receiver), web, 2)
    assert receiver.ids == [job]


# -- receivers that fail --------------------------------------------------------------------------------------------


def test_a_receiver_that_fails_is_asked_again_with_growing_pauses_and_the_same_event(web):
    receiver = Receiver(500, 301, UndeliveredError("ReadTimeout: no answer"), 429, 200)
    at = []
    receiver.meanwhile = lambda: at.append(web.clock.now())
    job = post(web).json["id"]
    answer(web)
    turns(courier(web, receiver), web, 600)
    assert receiver.ids == [job] * 5
    assert len({body for *_, body in receiver.got}) == 1
    assert all(is_signed(headers, body) for _, headers, body in receiver.got)
    assert [round(b - a) for a, b in itertools.pairwise(at)] == [5, 20, 80, 320]
    assert len({headers["webhook-timestamp"] for _, headers, _ in receiver.got}) == 5
    assert (count(web, "failed"), count(web, "delivered"), pending(web)) == (4, 1, [])


def test_pauses_grow_to_an_hour_and_are_spread():
    assert [backoff(attempts) for attempts in (1, 2, 3, 4, 5, 6, 7, 50)] == [5, 20, 80, 320, 1280, 3600, 3600, 3600]


def test_a_receiver_that_never_answers_is_given_up_when_results_are(web):
    receiver = Receiver(503)
    post(web)
    answer(web)
    work = courier(web, receiver)
    turns(work, web, 23.9 * 3600, step=60)
    assert len(pending(web)) == 1
    assert 25 < len(receiver.got) < 35
    turns(work, web, 2 * 3600, step=60)
    assert (pending(web), count(web, "given_up"), len(web.deps.hooks.agenda)) == ([], 1, 0)


def test_a_receiver_that_says_gone_is_left_alone(web):
    receiver = Receiver(410)
    post(web)
    answer(web)
    turns(courier(web, receiver), web, 7200, step=10)
    assert len(receiver.got) == 1
    assert (pending(web), count(web, "given_up")) == ([], 1)


def test_every_attempt_is_a_line_without_what_may_be_secret(web):
    post(web)
    answer(web)
    with structlog.testing.capture_logs() as lines:
        turns(courier(web, Receiver(500, 200)), web, 10)
    failed, delivered = [line for line in lines if line["event"].startswith("webhook.")]
    assert (failed["event"], failed["status"], failed["attempt"]) == ("webhook.failed", 500, 1)
    assert (delivered["event"], delivered["status"], delivered["attempt"]) == ("webhook.delivered", 200, 2)
    assert {failed["host"], delivered["host"]} == {"receiver.example"}
    assert "s3cret" not in str(lines)
    assert SECRET.removeprefix("whsec_") not in str(lines)
    assert [host(f"https://a.example{rest}") for rest in ("", "/x", "?x", ":8443/x")] == [
        "a.example",
        "a.example",
        "a.example",
        "a.example:8443",
    ]


def test_a_secret_that_was_taken_away_holds_events_back_until_it_is_there_again(web, receiver):
    post(web)
    answer(web)
    turns(courier(web, receiver, secrets={}), web, 10)
    assert (receiver.got, count(web, "failed")) == ([], 2)
    turns(courier(web, receiver), web, 100)
    assert len(receiver.got) == 1


# -- deaths ---------------------------------------------------------------------------------------------------------


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


# -- deletion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_answered", [True, False])
def test_who_deletes_an_image_is_told_nothing_of_it(web, receiver, is_answered):
    job = post(web).json["id"]
    if is_answered:
        answer(web)
    assert delete(web, job).status_code == 204
    assert pending(web) == []
    turns(courier(web, receiver), web, 300)
    assert receiver.got == []


def test_a_deletion_while_a_receiver_fails_ends_the_repeats(web):
    job = post(web).json["id"]
    answer(web)
    receiver = Receiver(500)
    receiver.meanwhile = lambda: delete(web, job)
    turns(courier(web, receiver), web, 300)
    assert len(receiver.got) == 1
    assert pending(web) == []


def test_a_deletion_that_broke_off_before_the_webhook_is_heard_of_by_its_tombstone(web, receiver):
    job = post(web).json["id"]
    answer(web)
    web.inputs.script.fail("delete", aws_error("SlowDown", 503))
    assert delete(web, job).status_code == 503
    assert len(pending(web)) == 1
    courier(web, receiver).turn()
    assert (receiver.got, pending(web)) == ([], [])


# -- batches --------------------------------------------------------------------------------------------------------


def batch(web, *names):
    body, form = multipart(*(("f", name, picture(size=(4 + n, 3))) for n, name in enumerate(names)))
    return web.client.simulate_post("/v1/batches", body=body, headers=form | TOLD)


def test_a_batch_is_told_of_once_when_its_last_image_is_answered(web, receiver):
    made = batch(web, "a.png", "b.png", "c.png").json
    work = courier(web, receiver)
    one, two, three = web.taken()
    web.deps.jobs.settle(web.reply(one))
    web.deps.jobs.settle(web.reply(two, failure=UndecodableImageError("torn")))
    turns(work, web, 30)
    assert receiver.got == []
    web.deps.jobs.settle(web.reply(three))
    turns(work, web, 30)
    assert receiver.events == [
        {"type": "batch.finished", "data": {"id": made["id"], "total": 3, "done": 2, "failed": 1}}
    ]
    assert receiver.ids == [made["id"]]
    assert pending(web) == []


def test_a_batch_of_refusals_alone_is_told_of(web, receiver):
    body = json.dumps({"keys": ["elsewhere/1"]})
    headers = {"Content-Type": "application/json"} | TOLD
    made = web.client.simulate_post("/v1/batches", body=body, headers=headers)
    assert made.status_code == 202
    turns(courier(web, receiver), web, 2)
    assert [event["data"]["failed"] for event in receiver.events] == [1]


def test_a_batch_that_is_refused_leaves_no_callback_and_one_that_cannot_be_kept_neither(web):
    body, form = multipart(("f", "a.png", b"no image"))
    assert web.client.simulate_post("/v1/batches", body=b"--x", headers=form | TOLD).status_code == 400
    assert pending(web) == []
    web.state.script.fail("put", aws_error("SlowDown", 503))
    assert web.client.simulate_post("/v1/batches", body=body, headers=form | TOLD).status_code == 503
    assert (pending(web), len(web.deps.hooks.agenda)) == ([], 0)


# -- the thread -----------------------------------------------------------------------------------------------------


def test_the_thread_delivers_what_is_heard_and_ends_when_told(web, receiver):
    work = courier(web, receiver)
    work.start()
    post(web)
    answer(web)
    until(lambda: receiver.got and not web.deps.hooks.agenda)
    work.halt()
    work.join(10)
    assert not work.is_alive()
    assert len(receiver.got) == 1


def test_a_thread_that_is_told_to_end_begins_nothing_more(web, receiver):
    post(web)
    answer(web)
    work = courier(web, receiver)
    work.halt()
    work.turn()
    assert receiver.got == []
