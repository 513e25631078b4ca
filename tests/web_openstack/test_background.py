"""What the web tier does beside requests: replies, answers gone astray, forgotten queues, demand."""

import threading

import pytest
import structlog
from fleets import report
from web_tier import picture

from skylens.errors import UnavailableError
from skylens.fakes import FakeQueue, aws_error
from skylens.instances import DEPLOYMENT_TAG
from skylens.messages import encode
from skylens.store import RECORD
from web_openstack.housekeeping import ASTRAY, FORGOTTEN, SEEN_EVERY, SEEN_TAG, Astray, Housekeeping, ReplyQueues
from web_openstack.replies import ReplyHelper, ReplyThread
from web_openstack.unstored import Unstored
from web_openstack.uploads import Image

ASYNC = {"Content-Type": "image/png", "Prefer": "respond-async"}


def submit(web):
    web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC)
    return web.taken()[-1]


def unstored(web):
    return Unstored(web.outputs, web.clock.clock())


def replies_of(web):
    queue = FakeQueue(web.clock.clock())
    return queue, ReplyThread(lambda: queue, web.deps.jobs, unstored(web), web.deps.metrics, web.clock.clock())


def test_a_reply_is_settled_before_it_is_deleted(web):
    request = submit(web)
    queue, thread = replies_of(web)
    queue.send(encode(web.reply(request)))
    queue.script.fail("delete", aws_error("ServiceUnavailable", 503))
    with pytest.raises(Exception, match="ServiceUnavailable"):
        thread.poll(0)
    assert web.deps.jobs.demand.snapshot().outstanding == 0
    assert len(queue.messages) == 1


def test_a_reply_delivered_twice_is_dropped_the_second_time(web):
    request = submit(web)
    queue, thread = replies_of(web)
    queue.twice = True
    queue.send(encode(web.reply(request)))
    thread.poll(0)
    assert sum(web.deps.jobs.demand.snapshot().completions) == 1
    assert web.deps.metrics.replies.labels("answer")._value.get() == 1


def test_an_unreadable_reply_is_logged_and_dropped(web):
    queue, thread = replies_of(web)
    queue.send(b'{"v": 99}')
    queue.send(b"nonsense")
    thread.poll(0)
    assert queue.messages == {}
    assert web.deps.metrics.replies.labels("unreadable")._value.get() == 2


def test_readiness_follows_the_reply_queue(web):
    _queue, thread = replies_of(web)
    assert thread.in_touch()
    web.clock.sleep(60)
    assert not thread.in_touch()
    thread.poll(0)
    assert thread.in_touch()


def test_an_answer_that_comes_while_s3_is_asked_is_not_missed(web, monkeypatch):
    request, jobs = submit(web), web.deps.jobs
    jobs.demand.withdrawn(request.id, "default")
    reply = web.reply(request)
    monkeypatch.setattr(type(jobs), "look", lambda self, *_: self.waiters.resolve(reply))  # S3 has nothing yet
    assert web.client.simulate_get(f"/v1/images/{request.id}?wait=5").status_code == 200


def test_an_answer_whose_reply_never_came_is_found(web):
    request = submit(web)
    web.reply(request)
    astray = Astray(web.deps.jobs)
    astray.look()
    assert web.deps.jobs.demand.is_outstanding(request.id, "default")
    web.clock.sleep(ASTRAY + 1)
    astray.look()
    assert not web.deps.jobs.demand.is_outstanding(request.id, "default")


def test_every_waiting_job_gets_its_turn_to_be_looked_for(web):
    requests = [submit(web) for _ in range(50)]
    web.clock.sleep(ASTRAY + 1)
    web.reply(requests[45])
    astray = Astray(web.deps.jobs)
    for _ in range(3):
        astray.look()
    assert not web.deps.jobs.demand.is_outstanding(requests[45].id, "default")


def test_a_job_older_than_its_retention_is_no_demand_any_more(web):
    submit(web)
    web.clock.sleep(24 * 3600 + 10)
    Astray(web.deps.jobs).look()
    assert web.deps.jobs.demand.snapshot().outstanding == 0


def test_a_reply_queue_is_swept_only_when_its_owner_is_long_gone(web):
    now = web.clock.now()
    web.queues.ensure("skylens-replies-gone", {SEEN_TAG: str(int(now - FORGOTTEN - 1))}, 60)
    web.queues.ensure("skylens-replies-alive", {SEEN_TAG: str(int(now - 60))}, 60)
    web.queues.ensure("skylens-replies-foreign", {}, 60)
    own = web.queues.queues["skylens-replies-web-1"]
    ReplyQueues(web.queues, own, "skylens", "skylens-replies-", {"Policy": ""}, web.clock.clock()).keep()
    assert set(web.queues.queues) == {"skylens-replies-web-1", "skylens-replies-alive", "skylens-replies-foreign"}
    assert web.queues.tags["skylens-replies-web-1"] == {SEEN_TAG: str(int(now)), DEPLOYMENT_TAG: "skylens"}


def test_a_reply_queue_is_made_as_it_is_to_be_every_few_minutes(web):
    own = web.queues.queues["skylens-replies-web-1"]
    chore = ReplyQueues(web.queues, own, "skylens", "skylens-replies-", {"Policy": ""}, web.clock.clock())
    for _ in range(4):
        chore.keep()
        web.clock.sleep(SEEN_EVERY / 2)
    assert web.queues.resets == [("skylens-replies-web-1", {"Policy": ""})] * 2


def test_one_whose_policy_forbids_that_is_an_error_of_the_log_and_kept_alive(web, monkeypatch):
    def denied(*_):
        raise aws_error("AccessDenied", 403)

    monkeypatch.setattr(web.queues, "reset", denied)
    own = web.queues.queues["skylens-replies-web-1"]
    with structlog.testing.capture_logs() as lines:
        ReplyQueues(web.queues, own, "skylens", "skylens-replies-", {"Policy": ""}, web.clock.clock()).keep()
    assert [(line["event"], line["log_level"]) for line in lines] == [("replies.not_reset", "error")]
    assert SEEN_TAG in web.queues.tags["skylens-replies-web-1"]


def test_demand_is_counted_per_second(web):
    demand = web.deps.jobs.demand
    demand.accepted("a", "t")
    demand.accepted("a", "t")
    demand.accepted("b", "t")
    web.clock.sleep(3)
    demand.answered("a", "t", 0.25)
    assert not demand.answered("a", "t")
    seen = demand.snapshot()
    assert (seen.arrivals[-4:], seen.completions[-4:]) == ((2, 0, 0, 0), (0, 0, 0, 1))
    assert (seen.outstanding, seen.oldest, seen.service_times) == (1, 3.0, (0.25,))
    web.clock.sleep(1000)
    assert sum(demand.snapshot().arrivals) == 0


def test_the_autoscaler_reads_demand_and_reports_the_fleet_on_the_internal_address_alone(web):
    submit(web)
    assert web.internal.simulate_get("/internal/demand").json["outstanding"] == 1
    assert web.internal.simulate_put("/internal/fleet", body=encode(report(["idle"]))).status_code == 204
    status = web.client.simulate_get("/v1/status").json
    assert (status["fleet"]["workers"][0]["state"], status["fleet_age"]) == ("idle", 0.0)
    assert status["queue"] == {"visible": 1, "in_flight": 0}
    assert web.internal.simulate_put("/internal/fleet", body=b"{}").status_code == 400
    assert web.client.simulate_get("/internal/demand").status_code == 404
    assert web.client.simulate_put("/internal/fleet", body=b"{}").status_code == 404


def test_one_answer_that_breaks_the_door_does_not_keep_the_others(web, monkeypatch):
    request = submit(web)
    queue, thread = replies_of(web)
    queue.send(b'{"v":1,"id":' + b"[" * 5000 + b"}")
    queue.send(encode(web.reply(request)))
    thread.poll(0)
    assert (queue.messages, web.deps.jobs.demand.snapshot().outstanding) == ({}, 0)


def many_replies(web, count):
    """So many answers in a reply queue."""
    queue, thread = replies_of(web)
    for number in range(count):
        web.client.simulate_post("/v1/images", body=picture(size=(number + 1, 1)), headers=ASYNC)
    for request in web.taken():
        queue.send(encode(web.reply(request)))
    return queue, thread


def test_helpers_work_until_a_receive_is_not_full(web):
    queue, thread = many_replies(web, 25)
    helper = ReplyHelper(thread, 1)
    thread.more.release()
    left = []
    while thread.more.acquire(blocking=False):
        helper.help()
        left.append(len(queue.messages))
    assert left == [15, 5, 0]
    assert web.deps.jobs.demand.outstanding() == 0


def test_helpers_leave_trouble_to_the_reply_thread(web):
    queue, thread = many_replies(web, 12)
    queue.script.fail("receive", aws_error("ServiceUnavailable", 503))
    ReplyHelper(thread, 1).help()
    assert (thread.more.acquire(blocking=False), thread.in_touch(), len(queue.messages)) == (False, True, 12)


def test_full_receives_call_one_of_them(web):
    _queue, thread = many_replies(web, 20)
    thread.poll(0)
    thread.poll(0)
    assert thread.more.acquire(blocking=False)
    assert not thread.more.acquire(blocking=False)


def test_the_reply_thread_works_and_halts(web):
    _queue, thread = many_replies(web, 10)
    thread.start()
    assert thread.more.acquire(timeout=10)
    thread.halt()
    thread.join(30)
    assert web.deps.jobs.demand.outstanding() == 0


def test_a_reply_queue_that_vanished_is_made_again(web):
    queues = [FakeQueue(web.clock.clock()), FakeQueue(web.clock.clock())]
    queues[0].script.fail("receive", aws_error("QueueDoesNotExist"), times=100)
    made = iter(queues)
    thread = ReplyThread(lambda: next(made), web.deps.jobs, unstored(web), web.deps.metrics, web.clock.clock())
    request = submit(web)
    queues[1].send(encode(web.reply(request)))
    thread.start()
    for _ in range(1000):
        if web.deps.jobs.demand.snapshot().outstanding == 0:
            break
        threading.Event().wait(0.01)
    thread.halt()
    thread.join(30)
    assert web.deps.jobs.demand.snapshot().outstanding == 0


def test_a_chore_that_breaks_does_not_stop_the_others(monkeypatch):
    monkeypatch.setattr("web_openstack.housekeeping.ROUND", 0.01)
    done = threading.Event()

    def broken():
        raise KeyError("a bug")

    thread = Housekeeping([broken, done.set])
    thread.start()
    assert done.wait(30)
    assert thread.is_alive()
    thread.halt()
    thread.join(30)


def test_an_unreadable_outcome_does_not_hide_those_behind_it(web):
    first, second = submit(web), submit(web)
    web.outputs.put(f"default/{first.id}.json", b"nonsense", "application/json")
    web.reply(second)
    web.clock.sleep(ASTRAY + 1)
    Astray(web.deps.jobs).look()
    assert not web.deps.jobs.demand.is_outstanding(second.id, "default")


@pytest.mark.parametrize("body", [b"nonsense", bytes(RECORD + 1)])
def test_who_asks_for_an_outcome_that_is_none_is_told_so(web, body):
    request = submit(web)
    web.outputs.put(f"default/{request.id}.json", body, "application/json")
    web.deps.jobs.demand.withdrawn(request.id, "default")
    answer = web.client.simulate_get(f"/v1/images/{request.id}")
    assert (answer.status_code, answer.json["code"]) == (500, "bad-message")


def test_withdrawing_an_old_job_leaves_no_negative_count(web):
    demand = web.deps.jobs.demand
    demand.accepted("a", "t")
    web.clock.sleep(5)
    demand.withdrawn("a", "t")
    assert min(demand.snapshot().arrivals) == 0
    demand.accepted("b", "t")
    demand.withdrawn("b", "t")
    assert demand.snapshot().arrivals[-1] == 0


def test_a_repeat_that_fails_leaves_the_first_ones_count(web):
    jobs, image = web.deps.jobs, Image(picture(), "image/png", "a.png")
    job = jobs.submit(image, tenant="default", top=1)
    web.requests.script.fail("send", aws_error("SlowDown", 503))
    with pytest.raises(UnavailableError):
        jobs.submit(image, tenant="default", top=1, job=job)
    assert jobs.demand.is_outstanding(job, "default")


def test_a_node_never_sweeps_its_own_queue_by_a_stale_listing(web, monkeypatch):
    own = web.queues.queues["skylens-replies-web-1"]
    stale = [(own, {SEEN_TAG: "1"})]
    monkeypatch.setattr(web.queues, "tagged", lambda _: stale)
    ReplyQueues(web.queues, own, "skylens", "skylens-replies-", {"Policy": ""}, web.clock.clock()).keep()
    assert "skylens-replies-web-1" in web.queues.queues
