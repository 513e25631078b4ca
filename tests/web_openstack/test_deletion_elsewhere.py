"""What is deleted at one web node is forgotten at the others, in whatever order things happen."""

import pytest
from deletions import (
    answered,
    ask,
    beside,
    delete,
    hears,
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skylens.fakes import aws_error
from skylens.messages import encode
from web_openstack.deleted import Deleted
from web_openstack.deletion import FAR, FAR_EVERY, NEAR
from web_openstack.housekeeping import ASTRAY, Astray


@pytest.fixture
def web(make_web):
    return remembering(make_web())


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
    assert (request.id, "default") in other.deps.jobs.deleted


def test_what_somebody_else_put_there_is_passed_over(web):
    web.state.put("deleted/what", b"", "text/plain")
    web.state.put("deleted/what/is/this", b"", "text/plain")
    hears(web).look()


def test_the_deleted_are_remembered_up_to_a_bound():
    deleted = Deleted(most=3)
    for job in "abcad":
        deleted.add(job, "t")
    assert [(job, "t") in deleted for job in "abcd"] == [False, True, True, True]


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
            assert is_whole(one, request.id)
