"""The same picture again: answered at the door, by the model at work, for its own tenant, stored like any answer."""

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_tier import picture

from skylens import active
from skylens.active import Active, Canary
from skylens.errors import UndecodableImageError
from skylens.fakes import aws_error
from skylens.messages import Label, Model, Reply, Result, Timings, encode, read
from skylens.store import RECORD
from web_openstack.deleted import Deleted
from web_openstack.refill import FETCHED, ROUND, Refill, before
from web_openstack.result_cache import OVERHEAD, ResultCache

PNG = {"Content-Type": "image/png"}
ASYNC = PNG | {"Prefer": "respond-async"}
ACTIVE = Active(model="m@1", at=1.0)


@pytest.fixture
def seen(make_web):
    """A web tier that has answered one picture, and knows that no model was ever activated."""

    def make(wanted=None, failure=None, **settings):
        web = make_web(**settings)
        web.deps.jobs.cache.follow(wanted)
        job = post(web).headers["Location"].rpartition("/")[2]
        (request,) = web.taken()
        web.deps.jobs.settle(web.reply(request, failure=failure))
        web.requests.messages.clear()
        web.inputs.objects.clear()
        return web, job

    return make


def post(web, body=None, headers=ASYNC, **options):
    return web.client.simulate_post("/v1/images", body=body or picture(), headers=headers, **options)


def test_the_same_picture_again_needs_no_worker(seen):
    web, first = seen()
    answer = post(web, headers=PNG | {"Content-Disposition": 'attachment; filename="again.png"'})
    found = answer.json
    assert (answer.status_code, found["labels"][0]["label"]) == (200, "cat")
    assert found["same_as"] == first != found["id"]
    assert web.taken() == []
    assert web.inputs.objects == {}
    assert web.deps.jobs.demand.outstanding() == 0
    assert "skylens_web_cached_total 1.0" in web.client.simulate_get("/metrics").text


@pytest.mark.parametrize(
    ("digest", "years"),
    [(hashlib.sha256(picture(size=(9, 9))).hexdigest(), 0), (None, 7000)],
    ids=["of-another", "late"],
)
def test_what_a_worker_says_of_another_picture_or_of_the_future_is_not_given_again(make_web, digest, years):
    web = make_web()
    web.deps.jobs.cache.follow(None)
    post(web)
    (request,) = web.taken()
    reply = web.reply(request)
    timings = msgspec.structs.replace(
        reply.result.timings, finished=reply.result.timings.finished + timedelta(days=365 * years)
    )
    result = msgspec.structs.replace(reply.result, digest=digest or request.digest, timings=timings)
    web.deps.jobs.settle(msgspec.structs.replace(reply, result=result))
    assert len(web.deps.jobs.cache) == 0


def test_it_is_stored_before_its_client_hears_of_it(seen):
    web, _ = seen()
    job = post(web).headers["Location"].rpartition("/")[2]
    stored = read(Reply, web.outputs.objects[f"default/{job}.json"][0])
    assert (stored.id, stored.worker) == (job, "")
    web.deps.jobs.recent._replies.clear()
    assert web.client.simulate_get(f"/v1/images/{job}").json["labels"][0]["label"] == "cat"


def test_while_the_bucket_fails_nothing_is_promised(seen):
    web, _ = seen()
    web.outputs.script.fail("put_if", aws_error("SlowDown", 503))
    assert post(web).status_code == 503
    assert post(web, headers=PNG).json["same_as"]


def test_fewer_labels_are_cut(seen):
    web, _ = seen()
    job = post(web, params={"top": "1"}).headers["Location"]
    assert len(web.client.simulate_get(job).json["labels"]) == 1


@pytest.mark.parametrize(
    ("before_it", "wanted", "known"),
    [(5, 5, True), (5, 3, True), (5, 6, False), (9, 50, True), (0, 5, True), (0, 6, False)],
)
def test_more_labels_are_asked_of_a_worker_unless_the_model_has_no_more(before_it, wanted, known):
    cache = ResultCache(2**20, 3600, Deleted())
    cache.follow(None)
    cache.add(msgspec.structs.replace(made(1, "d", labels=5), top=before_it))
    found = cache.get("default", "d", wanted, 1000)
    assert (found is not None) == known
    assert not found or len(found.labels) == min(wanted, 5)


def test_a_repeat_of_a_request_keeps_the_answer_it_has(seen):
    web, _ = seen()
    again = ASYNC | {"Idempotency-Key": "once"}
    paths = [post(web, headers=again).headers["Location"] for _ in range(2)]
    assert paths[0] == paths[1]
    job = paths[0].rpartition("/")[2]
    before_it = web.outputs.objects[f"default/{job}.json"][0]
    web.state.objects = {
        key: (data.replace(b'"sent":true', b'"sent":false'), *rest) for key, (data, *rest) in web.state.objects.items()
    }
    assert post(web, headers=again).headers["Location"] == paths[0]
    assert web.outputs.objects[f"default/{job}.json"][0] == before_it


def test_it_is_no_other_tenants(make_web):
    keys = {tenant: f"key of {tenant}" for tenant in ("here", "there")}
    web = make_web(api_keys=" ".join(f"{one}:{hashlib.sha256(key.encode()).hexdigest()}" for one, key in keys.items()))
    web.deps.jobs.cache.follow(None)
    as_tenant = {tenant: ASYNC | {"Authorization": f"Bearer {key}"} for tenant, key in keys.items()}
    post(web, headers=as_tenant["here"])
    web.deps.jobs.settle(web.reply(web.taken()[0]))
    post(web, headers=as_tenant["there"])
    assert [request.tenant for request in web.taken()] == ["here", "there"]
    post(web, headers=as_tenant["here"])
    assert len(web.taken()) == 2


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (ACTIVE, 0),
        (Active(model="m@2", at=1.0, previous="m@1"), 1),
        (Active(model="m@1", at=1.0, canary=Canary(model="m@2", share=0.1)), 1),
    ],
)
def test_it_is_the_active_models_answer_and_a_canary_sees_every_image(seen, wanted, asked):
    web, _ = seen(wanted)
    post(web)
    assert len(web.taken()) == asked


def test_without_word_of_what_is_active_a_worker_is_asked(make_web):
    web = make_web()
    for _ in range(2):
        post(web)
        web.deps.jobs.settle(web.reply(web.taken()[-1]))
    assert len(web.taken()) == 2


def test_a_failure_is_not_kept(seen):
    web, _ = seen(failure=UndecodableImageError("The image is damaged"))
    post(web)
    assert len(web.taken()) == 1


def test_it_can_be_turned_off(seen):
    web, _ = seen(cache_mib=0)
    post(web)
    assert len(web.taken()) == 1


def test_it_counts_no_longer_than_results_are_kept(seen):
    web, _ = seen(retention_hours=1)
    web.clock.sleep(3599)
    post(web)
    assert web.taken() == []
    web.clock.sleep(2)
    post(web)
    assert len(web.taken()) == 1


def test_nothing_moves_for_an_image_that_was_never_seen_here(seen):
    """A client stored it by itself: the worker says what its digest is."""
    web, _ = seen()
    web.inputs.put("default/own", picture(), "image/png")
    web.client.simulate_post("/v1/batches", json={"keys": ["default/own"]})
    assert len(web.taken()) == 1


def made(number, digest=None, model="m", at=1000.0, tenant="default", labels=1):
    """An answer."""
    moment = datetime.fromtimestamp(at, UTC)
    result = Result(
        id=str(number),
        name="",
        model=Model(name=model, version="1"),
        labels=tuple(Label(label=f"l{n}", score=0.5) for n in range(labels)),
        timings=Timings(received=moment, queued=moment, started=moment, finished=moment),
        digest=digest or f"{number:064x}",
    )
    return Reply(id=str(number), tenant=tenant, result=result)


def test_without_an_active_model_the_latest_answers_model_counts():
    cache = ResultCache(2**20, 3600, Deleted())
    cache.follow(None)
    cache.add(made(1, "d", "old", at=10))
    cache.add(made(2, "d", "new", at=20))
    cache.add(made(3, "e", "old", at=15))  # it came late
    assert cache.get("default", "d", 1, 30).model.name == "new"
    assert cache.get("default", "e", 1, 30) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40), st.booleans()), max_size=80))
def test_it_is_never_larger_than_it_may_be_and_keeps_what_was_asked_for_last(steps):
    most = 6 * OVERHEAD
    cache, order = ResultCache(most, 3600, Deleted()), []
    cache.follow(Active(model="m@1", at=1.0))
    sizes = {}
    for number, labels, look in steps:
        digest = f"{number:064x}"
        if look:
            found = cache.get("default", digest, 1, 1000)
            assert (found is not None) == (digest in order)
            if found:
                order.remove(digest)
                order.append(digest)
            continue
        reply = made(number, digest, labels=labels)
        cache.add(reply)
        order = [one for one in order if one != digest] + [digest]
        sizes[digest] = len(encode(reply)) + OVERHEAD
        while sum(sizes[one] for one in order) > most:
            order.pop(0)
        assert cache._size == sum(sizes[one] for one in order) <= most


def refill(web, tenants=("default",)):
    return Refill(web.deps.jobs.cache, web.state, web.outputs, tenants, web.deps.jobs.clock)


def test_after_a_start_the_newest_answers_are_back(seen, make_web):
    web, first = seen()
    fresh = make_web()
    fresh.clock.sleep(30)
    fresh.outputs.objects.update(web.outputs.objects)
    fresh.outputs.put("default/damaged", b"{", "application/json")
    refill(fresh).keep()
    assert post(fresh, headers=PNG).json["same_as"] == first
    assert fresh.taken() == []


def store(web, at, number, key="", finished=None):
    """An answer of that moment, by default where it belongs."""
    job = before("default", at).removeprefix("default/") + f"-{number}"
    reply = made(number, at=finished or at)
    reply = msgspec.structs.replace(reply, id=job, result=msgspec.structs.replace(reply.result, id=job))
    web.outputs.put(key or f"default/{job}.json", encode(reply), "application/json")


def test_what_a_worker_may_store_to_harm_is_not_taken_in_and_hides_nothing(make_web):
    web = make_web()
    now = web.clock.now()
    store(web, now - 60, 1, key=f"{before('default', now - 50)}-other.json")
    web.outputs.put(f"{before('default', now - 40)}-large.json", bytes(RECORD + 1), "application/json")
    store(web, now - 45, FETCHED + 1, finished=now + 10**9)
    for number in range(FETCHED):
        store(web, now + 3600, number)
    store(web, now - 30, FETCHED)
    refill(web).keep()
    assert {int(key.digest, 16) for key in web.deps.jobs.cache._entries} == {FETCHED}


def test_it_fetches_a_few_in_each_round_the_newest_only_and_once(make_web):
    web = make_web()
    now = web.clock.now()
    for number in range(FETCHED + 50):
        at = now - (FETCHED + 50 - number) * 2  # over an hour
        store(web, at, number)
    keeper = refill(web)
    for done in range(1, FETCHED // ROUND + 3):
        keeper.keep()
        assert len(web.deps.jobs.cache) == min(FETCHED, done * ROUND)
    kept = {int(key.digest, 16) for key in web.deps.jobs.cache._entries}
    assert kept == set(range(50, FETCHED + 50))


def test_a_round_that_fails_is_made_up_for(seen, make_web):
    web, first = seen()
    fresh = make_web()
    fresh.clock.sleep(30)
    fresh.outputs.objects.update(web.outputs.objects)
    keeper = refill(fresh)
    for call in ("get", "keys"):
        (fresh.state if call == "get" else fresh.outputs).script.fail(call, aws_error("SlowDown", 503))
        with pytest.raises(Exception, match="SlowDown"):
            keeper.keep()
    keeper.keep()
    assert post(fresh, headers=PNG).json["same_as"] == first


def test_what_is_active_is_looked_up_each_time(seen):
    web, _ = seen()
    active.write(web.state, Active(model="other@1", at=1.0), None)
    refill(web).keep()
    post(web)
    assert len(web.taken()) == 1


def test_an_answer_found_here_is_not_kept_as_an_answer():
    cache = ResultCache(2**20, 3600, Deleted())
    cache.follow(None)
    reply = made(1, "d")
    cache.add(msgspec.structs.replace(reply, result=msgspec.structs.replace(reply.result, same_as="0")))
    assert cache.get("default", "d", 1, 1000) is None
