"""A webhook is promised before its request is answered, and told once the image is."""

import hashlib
import json

import pytest
from deletions import remembering
from hooked import PNG, SETTING, TOLD, answer, count, courier, pending, post, turns
from receivers import SECRET, is_signed
from web_tier import multipart, picture

from skylens.errors import UndecodableImageError
from skylens.fakes import aws_error
from web_openstack.webhooks.agenda import MOST_OF_TENANT, Place
from web_openstack.webhooks.signature import keys
from web_openstack.webhooks.target import HEADER


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
