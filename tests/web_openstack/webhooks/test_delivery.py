"""Each webhook is told at least once: receivers that fail, and the thread that asks them again."""

import itertools

import structlog
from hooked import Receiver, answer, count, courier, pending, post, turns
from keyed import until
from receivers import SECRET, is_signed

from web_openstack.webhooks.courier import backoff, host
from web_openstack.webhooks.post import UndeliveredError


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
