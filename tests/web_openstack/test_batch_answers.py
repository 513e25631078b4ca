"""A batch's answers: some at a time, to so many readers; what cannot be had now comes later."""

import json
from contextlib import ExitStack
from dataclasses import replace

import pytest
from falcon.testing import create_environ
from test_batches import post
from web_tier import picture

from skylens.fakes import aws_error
from web_openstack import batch_answers
from web_openstack.batch_answers import READERS, TOGETHER
from web_openstack.batches import Batches
from web_openstack.pace import UNREAD
from web_openstack.resources import batches

LINES = {"Accept": "application/x-ndjson"}
MANY = 3 * TOGETHER


@pytest.fixture
def place(web):
    """A batch of many images, all answered."""
    answer = post(web, *[("f", f"{n}.png", picture(size=(n + 1, 1))) for n in range(MANY)])
    for request in web.taken():
        web.reply(request)
    return answer.headers["Location"]


def gets(web):
    return [call for call in web.outputs.script.calls if call[0] == "get"]


def read(web, place, headers):
    """The answer as the server reads it: its status and its body, which is not begun."""
    told = []
    environ = create_environ(place, host="localhost", headers=headers, query_string="wait=0")
    body = web.client.app(environ, lambda status, _: told.append(status))
    return told[0], body


@pytest.mark.parametrize("headers", [{}, LINES])
def test_they_are_fetched_some_at_a_time_and_only_as_they_are_read(web, place, headers):
    status, body = read(web, place, headers)
    assert (status, gets(web)) == ("200 OK", [])
    parts = iter(body)
    text = next(parts)
    assert len(gets(web)) == TOGETHER
    text += b"".join(parts)
    body.close()
    jobs = [json.loads(line) for line in text.splitlines()] if headers else json.loads(text)["jobs"]
    assert [job["status"] for job in jobs] == ["done"] * MANY
    assert len(gets(web)) == MANY


def test_what_cannot_be_had_now_is_still_worked_on(web, place):
    web.outputs.script.fail("get", aws_error("SlowDown", 503))
    seen = web.client.simulate_get(place).json
    assert (seen["total"], seen["done"], seen["working"], seen["failed"]) == (MANY, MANY - 1, 1, 0)
    assert web.client.simulate_get(place).json["done"] == MANY


def test_a_listing_that_fails_is_told_as_that(web, place):
    web.outputs.script.fail("keys", aws_error("SlowDown", 503))
    assert web.client.simulate_get(place).status_code == 503


def test_who_comes_after_too_many_is_told_when_to_come_again_and_another_tenant_is_not(web, place):
    with ExitStack() as readers:
        for _ in range(READERS):
            readers.enter_context(web.deps.answers.reader("default"))
        answer = web.client.simulate_get(place)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        readers.enter_context(web.deps.answers.reader("other"))
    assert web.client.simulate_get(place).status_code == 200


@pytest.mark.parametrize("headers", [{}, LINES])
def test_without_a_slot_an_answer_that_its_client_need_not_read_meanwhile_is_whole(web, place, headers):
    whole = web.client.simulate_get(place, headers=headers, params={"wait": "0"}).content
    web.deps.admission.draining.set()
    status, body = read(web, place, headers)
    assert (status, len(gets(web))) == ("200 OK", 2 * MANY)
    assert b"".join(body) == whole


def test_without_a_slot_a_batch_of_many_hundreds_is_answered_whole(web):
    answer = post(web, *[("f", f"{n:060}.png", picture(size=(n % 90 + 1, n // 90 + 1))) for n in range(800)])
    for request in web.taken():
        web.reply(request)
    web.deps.admission.draining.set()
    seen = web.client.simulate_get(answer.headers["Location"])
    assert (seen.status_code, seen.json["done"]) == (200, 800)
    assert len(seen.content) > UNREAD


@pytest.mark.parametrize("headers", [{}, LINES])
def test_without_a_slot_a_larger_answer_is_for_later(web, place, headers, monkeypatch):
    monkeypatch.setattr(batches, "AT_ONCE", 1000)
    assert web.client.simulate_get(place, headers=headers).status_code == 200
    web.deps.admission.draining.set()
    for _ in range(READERS + 1):
        answer = web.client.simulate_get(place, headers=headers)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert "large" in answer.json["detail"]


@pytest.mark.parametrize("headers", [{}, LINES])
def test_a_reader_that_never_begins_is_one_no_more_once_it_is_closed(web, place, headers):
    for _ in range(READERS + 1):
        status, body = read(web, place, headers)
        assert status == "200 OK"
        body.close()


@pytest.mark.parametrize(("readers", "tenant", "rests"), [(1, "default", 8), (4, "default", 32), (1, "other", 0)])
def test_a_reader_rests_the_longer_the_more_of_its_tenant_there_are(web, place, monkeypatch, readers, tenant, rests):
    """Listings and answers of a batch that is asked for without end would take the processor from everybody."""
    slept, spent = [], iter(range(1000))
    monkeypatch.setattr(batch_answers.time, "thread_time", lambda: next(spent) / 100)
    batch = Batches(web.deps.state, web.deps.jobs, MANY).find(place.rpartition("/")[2], "default")
    web.deps.answers._jobs = replace(web.deps.jobs, clock=replace(web.deps.jobs.clock, sleep=slept.append))
    with ExitStack() as held:
        for _ in range(readers):
            held.enter_context(web.deps.answers.reader(tenant))
        told = [reply for some in web.deps.answers.told(batch, "default") for _, reply in some]
    assert all(told)
    assert slept == pytest.approx([rests / 100] * (1 + MANY // TOGETHER))
