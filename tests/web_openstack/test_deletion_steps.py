"""A deletion step by step: broken off anywhere another makes it whole, and once it is whole a repeat writes nothing."""

from contextlib import contextmanager

import pytest
from deletions import (
    PNG,
    answered,
    ask,
    beside,
    delete,
    hears,
    is_remembered,
    is_whole,
    made,
    remembering,
    take_in,
    unsent,
)
from web_tier import picture

from skylens.fakes import aws_error
from skylens.messages import encode
from web_openstack.deleted import tombstone

WRITES = {"put", "put_if", "copy", "delete"}


@pytest.fixture
def web(make_web):
    return remembering(make_web())


KINDS = ["answered", "at work", "copied"]
"""``copied``: answered from memory, so it never had an image."""
STEPS = [
    "outputs.get default/{job}.json",
    "inputs.size default/{job}",
    "outputs.put default/{job}.json",
    "state.put deleted/{new}/default/{job}",
    "state.delete dead/default/{job}",
    "state.delete webhooks/default/{job}",
    "inputs.keys default/uploads/{job}.",
    "inputs.delete default/uploads/{job}.left",
    "inputs.delete default/{job}",
    "outputs.put default/{job}.json",
]
STONE = STEPS.index("outputs.put default/{job}.json")
BREAKS = [(kind, step) for kind in KINDS for step in range(len(STEPS))]


def some(web, kind):
    """A job of that kind, with all that is deleted with it."""
    job = (take_in(web) if kind == "at work" else answered(web)).id
    if kind == "copied":
        job = web.client.simulate_post("/v1/images", body=picture(), headers=PNG).json["id"]
    web.state.put(f"dead/default/{job}", b"{}", "application/json")
    web.state.put(f"webhooks/default/{job}", b"{}", "application/json")
    web.inputs.put(f"default/uploads/{job}.left", picture(), "image/png")
    return job


@contextmanager
def watched(web, during=lambda step: None):
    """What a node asks of its buckets meanwhile; ``during``: is called with the number of each step as it begins."""
    seen, stores = [], ("inputs", "outputs", "state")
    plain = {name: getattr(web, name).script.called for name in stores}

    def calls(name):
        def called(method, *arguments):
            seen.append(f"{name}.{method} {arguments[0]}")
            during(len(seen) - 1)
            plain[name](method, *arguments)

        return called

    for name in stores:
        getattr(web, name).script.called = calls(name)
    yield seen
    for name in stores:
        getattr(web, name).script.called = plain[name]


def broken_off(at):
    def during(step):
        if step == at:
            raise aws_error("SlowDown", 503)

    return during


def words(web, job):
    """What the other nodes are told of its deletion."""
    return [key for key in web.state.objects if key.startswith("deleted/") and key.endswith(f"/default/{job}")]


def left(web, job):
    """What a deletion is to take away, and did not. A copied answer's source has its own image."""
    stored = [*web.inputs.objects, *(key for key in web.state.objects if not key.startswith("deleted/"))]
    return [key for key in stored if job in key]


@pytest.mark.parametrize("kind", KINDS)
def test_the_steps_come_in_this_order(web, kind):
    job = some(web, kind)
    with watched(web) as seen:
        assert delete(web, job).status_code == 204
    new = words(web, job)[0].split("/")[1]
    assert seen == [step.format(job=job, new=new) for step in STEPS]


@pytest.mark.parametrize(("kind", "step"), BREAKS)
def test_a_deletion_that_broke_off_anywhere_is_made_whole_by_another(web, other, make_web, kind, step):
    third = beside(web, make_web())
    news, job = hears(third), some(web, kind)
    with watched(web, broken_off(step)):
        broken = delete(web, job)
    assert (broken.status_code, broken.headers["Retry-After"]) == (503, "5")
    assert "send the deletion again" in broken.json["detail"]
    if step > STONE:
        assert ask(web, job) == (410, "deleted")
        for request in web.taken():
            web.deps.jobs.settle(made(web, request))
        assert ask(web, job) == (410, "deleted")
    for node in (other, web):
        assert delete(node, job).status_code == 204
        assert ask(node, job) == (410, "deleted")
        assert left(node, job) == []
    assert 1 <= len(words(web, job)) <= 2, "once by each of the first two at most"
    news.look()
    assert (job, "default") in third.deps.jobs.deleted


@pytest.mark.parametrize(("kind", "step"), BREAKS)
def test_of_two_deletions_at_once_one_may_break_off_anywhere(web, other, kind, step):
    """The other one does all of it between two steps of the first."""
    job = some(web, kind)

    def during(at):
        if at == step:
            assert delete(other, job).status_code == 204
            raise aws_error("SlowDown", 503)

    with watched(web, during):
        assert delete(web, job).status_code == 503
    for node in (web, other):
        assert delete(node, job).status_code == 204
        assert ask(node, job) == (410, "deleted")
        assert left(node, job) == []
    assert 1 <= len(words(web, job)) <= 3


def test_one_that_breaks_off_between_anothers_two_looks_is_not_taken_for_whole(web, other):
    job, telling = some(web, "copied"), STONE + 1

    def during(at):
        if at == 1:
            with watched(other, broken_off(telling)):
                assert delete(other, job).status_code == 503

    with watched(web, during):
        assert delete(web, job).status_code == 204
    assert (left(web, job), len(words(web, job))) == ([], 1)


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_a_worker_that_stores_its_outcome_between_any_two_steps_changes_nothing(web, other, step):
    job = some(web, "at work")
    outcome = encode(made(web, web.taken()[-1]))

    def during(at):
        if at == step:
            other.outputs.put_if(f"default/{job}.json", outcome, "application/json", etag=None)

    with watched(web, during):
        assert delete(web, job).status_code == 204
    assert is_whole(web, job)
    assert ask(web, job) == (410, "deleted")
    assert (left(web, job), len(words(web, job))) == ([], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_once_it_is_whole_a_repeat_writes_nothing_at_any_node(web, other, kind):
    job = some(web, kind)
    delete(web, job)
    for node in (web, other) * 5:
        with watched(node) as seen:
            assert delete(node, job).status_code == 204
        assert [step for step in seen if step.split()[0].split(".")[1] in WRITES] == []
    assert len(words(web, job)) == 1


def test_a_repeat_makes_its_own_node_forget_and_clears_what_was_stored_again(web, other):
    request = answered(other)
    delete(web, request.id)
    assert ask(other, request.id) == (200, None)
    other.inputs.put(f"default/uploads/{request.id}.left", picture(), "image/png")
    assert delete(other, request.id).status_code == 204
    assert ask(other, request.id) == (410, "deleted")
    assert not is_remembered(other, request.id)
    assert (left(other, request.id), len(words(other, request.id))) == ([], 1)


def test_an_image_that_came_back_goes_again(web, other):
    """A repeat of its request was under way at a node that had not heard, and that died."""
    request = answered(web)
    delete(web, request.id)
    web.inputs.put(request.key, picture(), "image/png")
    assert delete(other, request.id).status_code == 204
    assert left(other, request.id) == []


def test_an_older_release_did_not_say_that_it_is_whole(web):
    job = some(web, "answered")
    web.outputs.put(f"default/{job}.json", encode(tombstone(job, "default")), "application/json")
    web.inputs.delete(f"default/{job}")
    for _ in range(2):
        assert delete(web, job).status_code == 204
        assert (is_whole(web, job), left(web, job), len(words(web, job))) == (True, [], 1)


def test_a_repeat_of_its_request_that_takes_its_image_away_does_not_make_it_whole(web, other, monkeypatch):
    """The repeat stores the image before the deletion, which then breaks off, and hears of it behind it."""
    news, job = hears(other), take_in(web, **{"Idempotency-Key": "once"}).id
    unsent(web)
    put = web.inputs.put

    def late(*image):
        put(*image)
        with watched(web, broken_off(STONE + 1)):
            assert delete(web, job).status_code == 503

    monkeypatch.setattr(web.inputs, "put", late)
    take_in(web, **{"Idempotency-Key": "once"})
    assert (web.inputs.objects, words(web, job)) == ({}, [])
    assert delete(web, job).status_code == 204
    news.look()
    assert (job, "default") in other.deps.jobs.deleted
    assert is_whole(web, job)


def test_an_outcome_that_cannot_be_read_is_no_tombstone(web):
    request = answered(web)
    web.outputs.put(f"default/{request.id}.json", b"{", "application/json")
    web.inputs.delete(request.key)
    for _ in range(2):
        assert delete(web, request.id).status_code == 204
        assert is_whole(web, request.id)
        assert (left(web, request.id), len(words(web, request.id))) == ([], 1)
