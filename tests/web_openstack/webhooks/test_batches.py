"""A batch has one webhook."""

import json

from hooked import TOLD, courier, pending, turns
from web_tier import multipart, picture

from skylens.errors import UndecodableImageError
from skylens.fakes import aws_error


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
