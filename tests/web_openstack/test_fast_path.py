"""Small images ride along in their request, and answers that have just come need no bucket."""

import threading

import pytest
from web_tier import picture

from skylens.errors import UndecodableImageError
from skylens.fakes import aws_error
from web_openstack.jobs import OWN

PNG = {"Content-Type": "image/png"}
ASYNC = PNG | {"Prefer": "respond-async"}


def post(web, body, headers=ASYNC):
    return web.client.simulate_post("/v1/images", body=body, headers=headers)


@pytest.fixture
def well(make_web):
    """A web tier whose bucket has just taken an image."""

    def make(**settings):
        web = make_web(**settings)
        assert post(web, picture()).status_code == 202
        web.requests.messages.clear()
        return web

    return make


def test_a_small_image_rides_along_and_is_stored_all_the_same(well):
    web, body = well(), picture(size=(7, 7))
    assert post(web, body).status_code == 202
    (request,) = web.taken()
    assert request.data == body
    assert web.inputs.objects[request.key][0] == body


@pytest.mark.parametrize("inline", [0, 60])
def test_a_larger_one_does_not(well, inline):
    web = well(inline_bytes=inline)
    assert post(web, picture()).status_code == 202
    (request,) = web.taken()
    assert request.data == b""
    assert request.key in web.inputs.objects


def test_the_client_hears_only_once_the_image_is_stored_and_nothing_rides_while_the_bucket_fails(well):
    web = well()
    web.inputs.script.fail("put", aws_error("SlowDown", 503), times=2)
    assert post(web, picture()).status_code == 503
    assert web.deps.jobs.demand.outstanding() == 1  # the one before
    web.requests.messages.clear()
    assert post(web, picture()).status_code == 503
    assert web.taken() == []
    assert post(web, picture()).status_code == 202
    assert post(web, picture()).status_code == 202
    assert [bool(request.data) for request in web.taken()] == [False, True]


def test_a_queue_that_fails_is_told_to_the_client(well):
    web = well()
    web.requests.script.fail("send", aws_error("ServiceUnavailable", 503))
    assert post(web, picture()).status_code == 503
    assert web.deps.jobs.demand.outstanding() == 1  # the one before


def test_while_many_wait_their_own_threads_store_nothing(well, monkeypatch):
    web, threads = well(), []
    put = web.inputs.put

    def noted(*given):
        threads.append(threading.current_thread().name)
        put(*given)

    monkeypatch.setattr(web.inputs, "put", noted)
    for number in range(OWN - 1):
        web.deps.jobs.demand.accepted(str(number), "another")
    web.deps.jobs.demand.answered("0", "another")
    assert [post(web, picture()).status_code for _ in range(2)] == [202, 202]
    assert [name.startswith("ThreadPoolExecutor") for name in threads] == [False, True]


def answered(web, failure=None):
    """The path of an image whose answer has come, and is not stored yet."""
    path = post(web, picture()).headers["Location"]
    reply = web.reply(web.taken()[-1], failure=failure)
    web.outputs.objects.clear()
    web.deps.jobs.settle(reply)
    return path


def test_an_answer_that_has_come_needs_no_bucket(well):
    web = well()
    path = answered(web)
    found = web.client.simulate_get(path)
    assert (found.status_code, found.json["labels"][0]["label"]) == (200, "cat")
    failed = answered(web, UndecodableImageError("The image is damaged"))
    assert web.client.simulate_get(failed).status_code == 422


def test_it_is_its_own_tenants_only(well):
    web = well()
    job = answered(web).rpartition("/")[2]
    assert web.deps.jobs.recent.get(job, "default")
    assert web.deps.jobs.recent.get(job, "somebody") is None


def test_it_expires_like_any_other(well):
    web = well(retention_hours=1)
    path = answered(web)
    web.clock.sleep(3601)
    assert web.client.simulate_get(path).status_code == 410


def test_only_so_many_answers_are_remembered(well):
    web = well()
    web.deps.jobs.recent._most = 2
    paths = [answered(web) for _ in range(3)]
    assert [web.deps.jobs.recent.get(path.rpartition("/")[2], "default") is None for path in paths] == [
        True,
        False,
        False,
    ]
