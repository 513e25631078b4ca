"""What is deleted stays deleted, whatever was under way."""

import hashlib

import pytest
import structlog
from deletions import (
    PNG,
    answered,
    ask,
    delete,
    is_remembered,
    is_whole,
    letters,
    made,
    records,
    refill,
    remembering,
    take_in,
    unsent,
    waiting,
)
from web_tier import picture

from skylens.errors import DeletedError, PoisonImageError
from skylens.fakes import aws_error
from skylens.messages import Reply, encode, read

NEVER = "018bcfe5-6800-7000-8000-0000000000ff"


@pytest.fixture
def web(make_web):
    return remembering(make_web())


def test_image_and_answer_are_gone_and_it_can_be_said_again(web):
    request = answered(web)
    for _ in range(2):
        gone = delete(web, request.id)
        assert (gone.status_code, gone.content, gone.headers["Cache-Control"]) == (204, b"", "no-store")
        assert ask(web, request.id) == (410, "deleted")
        assert web.inputs.objects == {}
        assert not is_remembered(web, request.id)
    assert is_whole(web, request.id)
    assert b"cat" not in b"".join(data for data, *_ in [*web.outputs.objects.values(), *web.state.objects.values()])


def test_the_same_picture_again_needs_a_worker_again(web):
    request = answered(web)
    delete(web, request.id)
    take_in(web)
    assert len(web.taken()) == 1


def test_answers_that_were_copied_from_it_are_other_jobs_and_stay(web):
    request = answered(web)
    copied = web.client.simulate_post("/v1/images", body=picture(), headers=PNG).json
    assert copied["same_as"] == request.id
    delete(web, request.id)
    assert web.client.simulate_get(f"/v1/images/{copied['id']}").json == copied
    delete(web, copied["id"])
    assert ask(web, copied["id"]) == (410, "deleted")


def test_to_delete_a_copied_answer_leaves_its_source_alone(web):
    request = answered(web)
    copied = web.client.simulate_post("/v1/images", body=picture(), headers=PNG).json
    assert delete(web, copied["id"]).status_code == 204
    assert ask(web, request.id) == (200, None)
    assert web.client.simulate_post("/v1/images", body=picture(), headers=PNG).json["same_as"] == request.id


def test_what_was_never_taken_in_is_not_found_and_leaves_no_trace(web):
    for job in (NEVER, "x", NEVER.upper()):
        answer = delete(web, job)
        assert (answer.status_code, answer.json["code"]) == (404, "not-found")
    assert (web.outputs.objects, web.state.objects) == ({}, {})


def test_nobody_deletes_what_is_another_tenants(make_web):
    keys = {tenant: f"key of {tenant}" for tenant in ("here", "there")}
    web = make_web(api_keys=" ".join(f"{one}:{hashlib.sha256(key.encode()).hexdigest()}" for one, key in keys.items()))
    headers = {tenant: {"Authorization": f"Bearer {key}"} for tenant, key in keys.items()}
    request = take_in(web, **headers["here"])
    assert delete(web, request.id, **headers["there"]).status_code == 404
    assert delete(web, request.id).status_code == 401
    assert f"here/{request.id}" in web.inputs.objects
    assert delete(web, request.id, **headers["here"]).status_code == 204


@pytest.mark.parametrize("is_answered", [False, True])
def test_who_stores_an_object_under_anothers_id_and_deletes_that_takes_nothing_from_the_other(make_web, is_answered):
    """A client that puts its images into the input bucket by itself chooses their names."""
    keys = {tenant: f"key of {tenant}" for tenant in ("here", "there")}
    web = make_web(api_keys=" ".join(f"{one}:{hashlib.sha256(key.encode()).hexdigest()}" for one, key in keys.items()))
    remembering(web)
    headers = {tenant: {"Authorization": f"Bearer {key}"} for tenant, key in keys.items()}
    request = take_in(web, **headers["here"])
    reply = web.reply(request)
    if is_answered:
        web.deps.jobs.settle(reply)
    web.inputs.put(f"there/{request.id}", b"", "image/png")
    assert delete(web, request.id, **headers["there"]).status_code == 204
    assert web.deps.jobs.demand.is_outstanding(request.id, "here") is not is_answered
    assert web.deps.jobs.settle(reply) is not is_answered
    assert web.deps.jobs.recent.get(request.id, "here") == reply
    assert web.deps.jobs.cache.get("here", request.digest, request.top, web.clock.now())


def test_an_old_one_goes_too_and_one_of_which_nothing_is_left_says_so(web):
    old, expired = answered(web), answered(web, 5)
    web.clock.sleep(24 * 3600 + 1)
    for store in (web.inputs, web.outputs):
        store.objects = {key: held for key, held in store.objects.items() if old.id in key}
    assert delete(web, old.id).status_code == 204
    assert web.inputs.objects == {}
    assert (delete(web, expired.id).status_code, delete(web, expired.id).json["code"]) == (410, "expired")


def test_each_deletion_is_on_record(web):
    request = answered(web)
    with structlog.testing.capture_logs() as lines:
        delete(web, request.id, **{"X-Request-ID": "r-1"})
        delete(web, NEVER)
    (line,) = [line for line in lines if line["event"] == "audit.deleted"]
    assert (line["tenant"], line["job"], line["request"]) == ("default", request.id, "r-1")
    assert line["client"]
    (one, _) = [line for line in lines if line["event"] == "http.request"]
    assert one["job"] == request.id


def test_a_job_at_work_is_deleted_at_once_and_is_no_demand_any_more(web):
    request = take_in(web)
    assert delete(web, request.id).status_code == 204
    demand = web.deps.jobs.demand.snapshot()
    assert (demand.outstanding, sum(demand.completions)) == (0, 1)
    assert ask(web, request.id) == (410, "deleted")


def test_a_reply_on_its_way_does_not_bring_it_back(web):
    """On the fast path it is sent before the worker finds that it cannot be stored."""
    request = take_in(web)
    delete(web, request.id)
    assert not web.deps.jobs.settle(made(web, request))
    assert not is_remembered(web, request.id)
    assert ask(web, request.id) == (410, "deleted")
    assert sum(web.deps.jobs.demand.snapshot().completions) == 1


def test_an_answer_that_comes_at_the_same_moment_is_forgotten_too(web, monkeypatch):
    """It passes the first look, and is added only after the deletion."""
    request = take_in(web)
    reply = web.reply(request)
    seen = web.deps.jobs.demand.answered

    def meanwhile(job, tenant, service=None):
        if not web.deps.jobs.demand.is_outstanding(job, tenant):
            return seen(job, tenant, service)
        fresh = seen(job, tenant, service)
        assert delete(web, request.id).status_code == 204
        return fresh

    monkeypatch.setattr(web.deps.jobs.demand, "answered", meanwhile)
    assert web.deps.jobs.settle(reply)
    assert not is_remembered(web, request.id)
    assert ask(web, request.id) == (410, "deleted")


@pytest.mark.parametrize("by", ["its sender", "somebody else", "the plain door"])
def test_whoever_waits_for_it_is_told_at_once(web, by):
    if by == "somebody else":
        job = take_in(web).id
        thread, answers = waiting(web, lambda: web.client.simulate_get(f"/v1/images/{job}", params={"wait": "60"}))
    elif by == "its sender":
        thread, answers = waiting(web, lambda: web.client.simulate_post("/v1/images", body=picture(), headers=PNG))
    else:
        form = (
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n' + picture() + b"\r\n--x--\r\n"
        )
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        thread, answers = waiting(web, lambda: web.client.simulate_post("/", body=form, headers=kind))
    (request,) = web.taken()
    assert delete(web, request.id).status_code == 204
    thread.join(30)
    (answer,) = answers
    assert answer.status_code == 410
    assert DeletedError.title in answer.text


def test_its_dead_letter_goes_too(web):
    request = take_in(web)
    dead = letters(web)
    dead.queue.send(encode(request))
    dead.poll()
    assert records(web)
    assert delete(web, request.id).status_code == 204
    assert ask(web, request.id) == (410, "deleted")
    assert records(web) == []


@pytest.mark.parametrize("broken", [None, "put_if", "get", "delete", "send"])
def test_a_dead_letter_that_comes_later_leaves_nothing_behind(web, broken):
    """It may carry the image."""
    request = take_in(web)
    delete(web, request.id)
    dead = letters(web)
    dead.queue.send(encode(request))
    if broken:
        place = {"delete": web.state, "send": web.queues.queues["skylens-replies-web-1"]}.get(broken, web.outputs)
        place.script.fail(broken, aws_error("SlowDown", 503))
        with pytest.raises(Exception, match="SlowDown"):
            dead.poll()
        web.clock.sleep(31)
    assert dead.poll() == 1
    assert records(web) == []
    assert is_whole(web, request.id)
    (sent,) = web.queues.queues["skylens-replies-web-1"].messages.values()
    assert read(Reply, sent.body).failure.code == DeletedError.code
    assert PoisonImageError.code not in str(web.outputs.objects)


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_repeat_of_its_request_does_not_bring_it_back(web, is_noted):
    request = take_in(web, **{"Idempotency-Key": "once"})
    delete(web, request.id)
    if not is_noted:
        unsent(web)
    web.requests.messages.clear()
    again = web.client.simulate_post("/v1/images", body=picture(), headers=PNG | {"Idempotency-Key": "once"})
    assert (again.status_code, again.json["code"], again.json["id"]) == (410, "deleted", request.id)
    assert web.inputs.objects == {}
    assert web.taken() == []


def test_a_repeat_that_is_under_way_does_not_bring_its_image_back(web, monkeypatch):
    request = take_in(web, **{"Idempotency-Key": "once"})
    unsent(web)
    put = web.inputs.put

    def late(*image):
        assert delete(web, request.id).status_code == 204
        put(*image)

    monkeypatch.setattr(web.inputs, "put", late)
    take_in(web, **{"Idempotency-Key": "once"})
    assert web.inputs.objects == {}
    web.deps.jobs.settle(made(web, web.taken()[-1]))
    assert ask(web, request.id) == (410, "deleted")
    assert web.deps.jobs.demand.outstanding() == 0


def test_a_batch_shows_it_as_failed(web):
    web.inputs.put("default/own", picture(), "image/png")
    body = {"keys": ["default/own", "default/own"]}
    batch = web.client.simulate_post("/v1/batches", json=body).headers["Location"]
    kept, gone = web.taken()
    for request in (kept, gone):
        web.deps.jobs.settle(web.reply(request))
    delete(web, gone.id)
    progress = web.client.simulate_get(batch).json
    assert (progress["done"], progress["failed"], progress["working"]) == (1, 1, 0)
    assert progress["jobs"][1] == {
        "name": "own",
        "id": gone.id,
        "status": "failed",
        "error": {"code": "deleted", "detail": DeletedError.title},
    }
    assert set(web.inputs.objects) == {"default/own", kept.key}, "the client's own object is not ours to delete"


def test_a_start_does_not_bring_it_back(web, other):
    kept, gone = answered(web), answered(web, 5)
    delete(web, gone.id)
    other.clock.sleep(30)
    refill(other).keep()
    assert not is_remembered(other, gone.id)
    assert len(other.deps.jobs.cache) == 1
    assert kept.id in str(other.deps.jobs.cache._entries)


def test_an_answer_that_was_fetched_before_does_not_bring_it_back(web):
    request = answered(web)
    fetched = read(Reply, web.outputs.objects[f"default/{request.id}.json"][0])
    delete(web, request.id)
    web.deps.jobs.cache.add(fetched)
    web.deps.jobs.recent.add(fetched)
    assert not is_remembered(web, request.id)
