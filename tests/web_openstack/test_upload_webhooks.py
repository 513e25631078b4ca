"""The webhook of a direct upload: promised with its image, told once, and never another's."""

import pytest
from hooked import SETTING, TOLD, Receiver, courier, pending, turns
from uploading import DATA, stored, submit

from skylens.fakes import aws_error


def test_its_webhook_is_told_once(make_web):
    web, receiver = make_web(webhook_secrets=SETTING), Receiver()
    name = stored(web)
    for _ in range(2):
        assert submit(web, name, TOLD).status_code == 202
    web.deps.jobs.settle(web.reply(web.taken()[0]))
    work = courier(web, receiver)
    work.turn()
    refused = submit(web, name, TOLD)  # or its client would wait for another one
    assert (refused.status_code, "or is told" in refused.json["detail"]) == (409, True)
    assert submit(web, name).status_code == 202
    turns(work, web, 100)
    assert receiver.ids == [name.partition(".")[0]]


def test_a_webhook_that_comes_after_its_image_is_refused_and_not_forgotten(make_web):
    web = make_web(webhook_secrets=SETTING)
    name = stored(web)
    assert submit(web, name).status_code == 202
    refused = submit(web, name, TOLD)
    assert (refused.status_code, "had no Callback-Url" in refused.json["detail"]) == (409, True)
    assert pending(web) == []


@pytest.mark.parametrize("is_known", [True, False])
def test_another_webhook_for_the_same_image_is_refused_and_the_first_one_stays(make_web, is_known):
    web = make_web(webhook_secrets=SETTING)
    name = stored(web)
    job = submit(web, name, TOLD).json["id"]
    if not is_known:  # as if it had just started
        web.deps.jobs.demand.withdrawn(job, "default")
        web.inputs.put(f"default/uploads/{name}", DATA, "image/png")
    refused = submit(web, name, {"Callback-Url": "https://other.example/hook"})
    assert (refused.status_code, "another Callback-Url" in refused.json["detail"]) == (409, True)
    assert pending(web) == [f"webhooks/default/{job}"]
    assert submit(web, name, TOLD).status_code == 202


@pytest.mark.parametrize("age", [0, 3700])
def test_a_webhook_whose_image_is_not_taken_in_yet_stays_for_its_repeat_however_old_the_invitation_is(make_web, age):
    web, receiver = make_web(webhook_secrets=SETTING), Receiver()
    name = stored(web)
    web.clock.sleep(age)
    web.inputs.script.fail("copy", aws_error("SlowDown", 503))
    assert submit(web, name, TOLD).status_code == 503
    work = courier(web, receiver)
    turns(work, web, 100)
    assert submit(web, name, TOLD).status_code == 202
    assert len(pending(web)) == 1
    web.deps.jobs.settle(web.reply(web.taken()[0]))
    turns(work, web, 100)
    assert receiver.ids == [name.partition(".")[0]]


def test_one_whose_image_never_comes_is_dropped_in_time(make_web):
    web, receiver = make_web(webhook_secrets=SETTING), Receiver()
    name = stored(web)
    web.inputs.script.fail("copy", aws_error("SlowDown", 503))
    assert submit(web, name, TOLD).status_code == 503
    turns(courier(web, receiver), web, 3700, step=20)
    assert (pending(web), receiver.got) == ([], [])


def test_what_another_node_promised_meanwhile_stays_promised(make_web):
    web = make_web(webhook_secrets=SETTING)
    name, copy = stored(web), web.inputs.copy

    def beaten(source, key):
        """Another node was told the same and was quicker, up to clearing the upload away."""
        assert copy(source, key)
        web.inputs.delete(source)
        return copy(source, key)

    web.inputs.copy = beaten
    assert submit(web, name, TOLD).status_code == 202
    assert pending(web) == [f"webhooks/default/{name.partition('.')[0]}"]


def test_an_older_webhook_stays_when_its_image_cannot_be_sent_again(make_web):
    web = make_web(webhook_secrets=SETTING)
    name = stored(web)
    job = submit(web, name, TOLD).json["id"]
    web.deps.jobs.demand.withdrawn(job, "default")  # as if it had just started
    web.inputs.put(f"default/uploads/{name}", DATA, "image/png")
    web.inputs.script.fail("copy", aws_error("SlowDown", 503))
    assert submit(web, name, TOLD).status_code == 503
    assert pending(web) == [f"webhooks/default/{job}"]


def test_while_the_webhooks_cannot_be_looked_at_a_repeat_is_told_to_come_again(make_web):
    web = make_web(webhook_secrets=SETTING)
    name = stored(web)
    assert submit(web, name, TOLD).status_code == 202
    web.state.script.fail("get", aws_error("SlowDown", 503))
    assert submit(web, name, TOLD).status_code == 503
    assert submit(web, name, TOLD).status_code == 202
