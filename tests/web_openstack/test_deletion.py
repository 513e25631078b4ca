"""What is deleted stays deleted: on every web node, whatever was under way, wherever the deletion broke off."""

import hashlib
import threading

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web_tier import picture

from skylens.errors import DeletedError, PoisonImageError
from skylens.fakes import FakeQueue, aws_error
from skylens.messages import Reply, encode, read
from web_openstack.deadletters import DeadLetters
from web_openstack.deleted import Deleted, tombstone
from web_openstack.deletion import FAR, FAR_EVERY, NEAR, Deletions
from web_openstack.housekeeping import ASTRAY, Astray
from web_openstack.refill import Refill

PNG = {"Content-Type": "image/png"}
ASYNC = PNG | {"Prefer": "respond-async"}
NEVER = "018bcfe5-6800-7000-8000-0000000000ff"


@pytest.fixture
def web(make_web):
    """It knows that no model was ever activated, so it answers from memory."""
    made = make_web()
    made.deps.jobs.cache.follow(None)
    return made


@pytest.fixture
def other(web, make_web):
    """Another web node of the same deployment."""
    return beside(web, make_web())


def beside(web, other):
    """Let another node use the same buckets and queue."""
    other.clock.sleep(0.001)  # or its ids were the first one's
    for store in ("inputs", "outputs", "state"):
        getattr(other, store).objects = getattr(web, store).objects
    other.requests.messages, other.requests._ids = web.requests.messages, web.requests._ids
    other.deps.jobs.cache.follow(None)
    return other


def take_in(web, width=4, **headers):
    """An image that is queued; its request."""
    web.client.simulate_post("/v1/images", body=picture(size=(width, 3)), headers=ASYNC | headers)
    return web.taken()[-1]


def made(web, request):
    """What a worker answers, not stored."""
    before = dict(web.outputs.objects)
    reply = web.reply(request)
    web.outputs.objects.clear()
    web.outputs.objects.update(before)
    return reply


def answered(web, width=4):
    """An image whose answer is stored and has come."""
    request = take_in(web, width)
    web.deps.jobs.settle(web.reply(request))
    web.requests.messages.clear()
    return request


def delete(web, job, **headers):
    return web.client.simulate_delete(f"/v1/images/{job}", headers=headers)


def ask(web, job):
    found = web.client.simulate_get(f"/v1/images/{job}")
    return found.status_code, found.json.get("code")


def is_remembered(web, job):
    """Whether this process has its answer."""
    cached = {entry.job for entry in web.deps.jobs.cache._entries.values()}
    assert cached == set(web.deps.jobs.cache._places)
    return job in cached or web.deps.jobs.recent.get(job, "default") is not None


def test_image_and_answer_are_gone_and_it_can_be_said_again(web):
    request = answered(web)
    for _ in range(2):
        gone = delete(web, request.id)
        assert (gone.status_code, gone.content, gone.headers["Cache-Control"]) == (204, b"", "no-store")
        assert ask(web, request.id) == (410, "deleted")
        assert web.inputs.objects == {}
        assert not is_remembered(web, request.id)
    stored = read(Reply, web.outputs.objects[f"default/{request.id}.json"][0])
    assert stored == tombstone(request.id, "default")
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


STEPS = [("outputs", "size"), ("outputs", "put"), ("state", "put"), ("inputs", "delete"), ("state", "delete")]


@pytest.mark.parametrize(("store", "method"), STEPS)
@pytest.mark.parametrize("is_answered", [True, False])
def test_a_deletion_that_broke_off_anywhere_is_made_whole_by_another(web, other, store, method, is_answered):
    request = answered(web) if is_answered else take_in(web)
    web.state.put(f"dead/default/{request.id}", b"{}", "application/json")
    getattr(web, store).script.fail(method, aws_error("SlowDown", 503))
    broken = delete(web, request.id)
    assert (broken.status_code, broken.headers["Retry-After"]) == (503, "5")
    assert "send the deletion again" in broken.json["detail"]
    if f"{store}.{method}" not in {"outputs.size", "outputs.put"}:
        assert ask(web, request.id) == (410, "deleted")
        web.deps.jobs.settle(made(web, request))
        assert ask(web, request.id) == (410, "deleted")
    for node in (other, web):
        assert delete(node, request.id).status_code == 204
        assert ask(node, request.id) == (410, "deleted")
        assert node.inputs.objects == {}
        assert [key for key in node.state.objects if not key.startswith("deleted/")] == []


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

    def meanwhile(job, service=None):
        if not web.deps.jobs.demand.is_outstanding(job, "default"):
            return seen(job, service)
        fresh = seen(job, service)
        assert delete(web, request.id).status_code == 204
        return fresh

    monkeypatch.setattr(web.deps.jobs.demand, "answered", meanwhile)
    assert web.deps.jobs.settle(reply)
    assert not is_remembered(web, request.id)
    assert ask(web, request.id) == (410, "deleted")


def waiting(web, send):
    """A client that waits in a thread of its own; its answers."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(send()))
    thread.start()
    while not web.deps.jobs.waiters._held:
        assert thread.is_alive()
        threading.Event().wait(0.005)
    return thread, answers


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


def letters(web):
    clock = web.clock.clock()
    return DeadLetters(FakeQueue(clock), web.queues, web.state, web.outputs, clock, web.deps.metrics)


def records(web):
    return [key for key in web.state.objects if key.startswith("dead/")]


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
    assert read(Reply, web.outputs.objects[f"default/{request.id}.json"][0]) == tombstone(request.id, "default")
    (sent,) = web.queues.queues["skylens-replies-web-1"].messages.values()
    assert read(Reply, sent.body).failure.code == DeletedError.code
    assert PoisonImageError.code not in str(web.outputs.objects)


def unsent(web):
    """As if the door had died before it noted that the job is queued."""
    for key, (data, *rest) in web.state.objects.items():
        web.state.objects[key] = (data.replace(b'"sent":true', b'"sent":false'), *rest)


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


def refill(web):
    return Refill(web.deps.jobs.cache, web.state, web.outputs, ("default",), web.deps.jobs.clock)


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


# -- other nodes -----------------------------------------------------------------------------------------------------


def hears(web):
    return Deletions(web.deps.jobs, web.state)


def test_another_node_forgets_it_at_its_next_look(web, other):
    news = hears(other)
    news.look()
    request = answered(other)
    assert delete(web, request.id).status_code == 204
    assert ask(other, request.id) == (200, None)
    news.look()
    assert not is_remembered(other, request.id)
    assert ask(other, request.id) == (410, "deleted")
    take_in(other)
    assert len(other.taken()) == 1, "the same picture again needs a worker again"


def test_another_nodes_client_is_told_and_its_demand_ends(web, other):
    news = hears(other)
    request = take_in(other)
    thread, answers = waiting(
        other, lambda: other.client.simulate_get(f"/v1/images/{request.id}", params={"wait": "60"})
    )
    delete(web, request.id)
    news.look()
    thread.join(30)
    assert [answer.status_code for answer in answers] == [410]
    assert other.deps.jobs.demand.outstanding() == 0
    other.deps.jobs.settle(made(other, request))
    assert ask(other, request.id) == (410, "deleted")


@pytest.mark.parametrize(("ahead", "after"), [(-3000, 0), (0, 0), (NEAR - 10, 0), (1800, FAR_EVERY)])
def test_clocks_may_differ_as_far_as_aws_allows(web, other, ahead, after):
    """``ahead``: seconds by which the one that hears is; ``after``: seconds until it has heard."""
    requests = [answered(other, width) for width in (1, 2, 3)]
    other.clock.sleep(ahead)
    news = hears(other)
    for request in requests:
        delete(web, request.id)
        other.clock.sleep(after)
        news.look()
        assert ask(other, request.id) == (410, "deleted")
        web.clock.sleep(5 + after)
        other.clock.sleep(5)


def test_a_look_that_failed_is_made_up_for_however_long_it_lasts(web, other):
    news, requests = hears(other), [answered(other, width) for width in (1, 2)]
    news.look()
    delete(web, requests[0].id)
    other.state.script.fail("keys", aws_error("SlowDown", 503), times=3)
    for _ in range(3):
        other.clock.sleep(3600)
        with pytest.raises(Exception, match="SlowDown"):
            news.look()
    web.clock.sleep(3 * 3600)
    delete(web, requests[1].id)
    news.look()
    assert [ask(other, request.id) for request in requests] == [(410, "deleted")] * 2


def test_looks_go_back_a_minute_and_far_every_five_minutes(web):
    news, went_back = hears(web), []
    for _ in range(62):
        news.look()
        (_, after) = web.state.script.calls[-1][1]
        stamp = after.removeprefix("deleted/").replace("-", "")
        went_back.append(round(web.clock.time - int(stamp, 16) / 1000))
        web.clock.sleep(5)
    usual = 5 + NEAR
    assert went_back == [FAR, *[usual] * 59, FAR_EVERY + FAR, usual]


def test_a_node_that_finds_the_tombstone_by_itself_forgets_as_well(web, other):
    request = take_in(other)
    delete(web, request.id)
    other.clock.sleep(ASTRAY + 1)
    Astray(other.deps.jobs).look()
    assert other.deps.jobs.demand.outstanding() == 0
    assert request.id in other.deps.jobs.deleted


def test_what_somebody_else_put_there_is_passed_over(web):
    web.state.put("deleted/what", b"", "text/plain")
    web.state.put("deleted/what/is/this", b"", "text/plain")
    hears(web).look()


def test_the_deleted_are_remembered_up_to_a_bound():
    deleted = Deleted(most=3)
    for job in "abcad":
        deleted.add(job)
    assert [job in deleted for job in "abcd"] == [False, True, True, True]


def happen(event, node, one, request):
    """Something that might bring the answer back, at a node; ``one`` is the node that took the job in."""
    if event == "fast":
        one.deps.jobs.settle(made(one, request))
    elif event == "stored":
        outcome = encode(made(one, request))
        one.outputs.put_if(f"default/{request.id}.json", outcome, "application/json", etag=None)
    elif event == "refill":
        refill(node).keep()
    elif event == "repeat":
        unsent(one)
        take_in(node, **{"Idempotency-Key": "once"})
    elif event == "letter":
        dead = letters(node)
        dead.queue.send(encode(request))
        dead.poll()
    else:
        Astray(node.deps.jobs).look()


EVENTS = ["fast", "stored", "delete", "delete", "hear", "refill", "repeat", "letter", "astray"]


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 1)), max_size=14))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_in_whatever_order_things_happen_nobody_gets_it_back(make_web, steps):
    """Two nodes, one job, taken in by the first. Who deleted, or has heard of it, never gives it out again."""
    one = make_web()
    one.deps.jobs.cache.follow(None)
    nodes = [one, beside(one, make_web())]
    request = take_in(one, **{"Idempotency-Key": "once"})
    news, know = [hears(node) for node in nodes], set()
    for event, at in steps:
        if event == "delete":
            assert delete(nodes[at], request.id).status_code == 204
            know |= {at}
        elif event == "hear":
            news[at].look()
            know |= {at} if know else set()
        else:
            happen(event, nodes[at], one, request)
        for node in nodes:
            node.clock.sleep(ASTRAY / 2)
        for number in know:
            assert ask(nodes[number], request.id) == (410, "deleted")
            assert not is_remembered(nodes[number], request.id)
        if know:
            assert one.inputs.objects == {}
            assert records(one) == []
            stored = read(Reply, one.outputs.objects[f"default/{request.id}.json"][0])
            assert stored == tombstone(request.id, "default")
