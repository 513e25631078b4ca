"""Direct uploads: invited for one image alone, looked at before they are taken in, one job each, below their tenant."""

import hashlib
import json

import pytest
from botocore.exceptions import NoCredentialsError
from deletions import beside
from uploading import DATA, DIGEST, JSON, announce, stored, submit
from web_tier import picture

from skylens.fakes import aws_error
from skylens.store import Wanted
from web_openstack import direct
from web_openstack.direct import LONGEST, SECONDS


def test_an_invitation_is_for_one_image_below_the_tenant_and_ends_soon(web):
    made = announce(web)
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    name = made.json["id"]
    assert name.endswith(f".{DIGEST}")
    assert (made.json["method"], made.json["expires"]) == ("PUT", "2023-11-14T22:28:20Z")
    ((_, (key, wanted, seconds)),) = [call for call in web.inputs.script.calls if call[0] == "invite"]
    assert key == f"default/uploads/{name}"
    assert made.json["url"].endswith(key)
    assert wanted == Wanted("image/png", len(DATA), bytes.fromhex(DIGEST))
    assert seconds == SECONDS
    counted = {"route": "uploads", "status": "201"}
    assert web.deps.metrics.registry.get_sample_value("skylens_web_requests_total", counted) == 1
    assert (web.inputs.objects, web.state.objects, web.taken()) == ({}, {}, [])


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"content_type": "image/gif"}, 400, "image/png, image/jpeg, image/webp"),
        ({"content_type": "image/png; a=b"}, 400, "content_type"),
        ({"size": 0}, 400, "at least 1"),
        ({"size": -1}, 400, "at least 1"),
        ({"size": 16 * 2**20 + 1}, 413, "16,777,216"),
        ({"size": "5"}, 400, "size"),
        ({"size": 1.5}, 400, "size"),
        ({"sha256": DIGEST.upper()}, 400, "64 hexadecimal digits"),
        ({"sha256": DIGEST[:-1]}, 400, "64 hexadecimal digits"),
        ({"sha256": f"../{DIGEST[3:]}"}, 400, "64 hexadecimal digits"),
        ({"key": "other/1"}, 400, "key"),
        ({"sha256": "a" * LONGEST}, 413, "JSON"),
    ],
)
def test_a_wrong_announcement_is_refused_with_what_would_be_right(web, changes, status, said):
    refused = announce(web, **changes)
    assert refused.status_code == status
    assert said in refused.json["detail"]


@pytest.mark.parametrize("path", ["/v1/uploads", "/v1/images"])
def test_what_is_no_json_is_refused(web, path):
    for body in (b"", b"{", b"[]", b"null", b"\xff"):
        assert web.client.simulate_post(path, body=body, headers=JSON).status_code == 400
    assert (
        web.client.simulate_post("/v1/uploads", body=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    )


def test_what_was_stored_is_submitted_and_its_bytes_are_compared_by_the_worker(web):
    name = stored(web)
    taken = submit(web, name, name="C:\\pictures\\cat.png")
    job = name.partition(".")[0]
    assert (taken.status_code, taken.json["id"], taken.headers["Location"]) == (202, job, f"/v1/images/{job}")
    (request,) = web.taken()
    assert (request.id, request.key, request.digest) == (job, f"default/{job}", DIGEST)
    assert (request.name, request.top) == ("cat.png", 3)
    assert {key: held[0] for key, held in web.inputs.objects.items()} == {f"default/{job}": DATA}


def test_its_client_may_wait_for_the_answer(web):
    name = stored(web)
    with web.answering():
        answer = web.client.simulate_post("/v1/images", body=json.dumps({"upload": name}), headers=JSON)
    assert (answer.status_code, answer.json["labels"][0]["label"]) == (200, "cat")


def test_submitted_again_it_is_the_same_job(web):
    name = stored(web)
    assert submit(web, name).json == submit(web, name).json
    assert len(web.taken()) == 1
    web.deps.jobs.settle(web.reply(web.taken()[0]))
    web.inputs.put(f"default/uploads/{name}", DATA, "image/png")  # the invitation is still good
    again = web.client.simulate_post("/v1/images", body=json.dumps({"upload": name}), headers=JSON)
    assert (again.status_code, again.json["id"]) == (200, name.partition(".")[0])
    assert len(web.taken()) == 1


def test_what_was_not_stored_is_not_found(web):
    name = announce(web).json["id"]
    refused = submit(web, name)
    assert (refused.status_code, refused.json["code"]) == (404, "not-found")
    assert "nothing is stored" in refused.json["detail"]
    assert web.taken() == []
    assert web.client.simulate_get(f"/v1/images/{name.partition('.')[0]}").status_code == 404


@pytest.mark.parametrize("name", ["", "x", "../other/1", "a" * 36 + "." + DIGEST, f"{'0' * 36}.{DIGEST}/..", DIGEST])
def test_an_id_that_nobody_gave_is_not_found(web, name):
    assert submit(web, name).status_code == 404


def test_an_upload_is_its_tenants_alone(make_web):
    keys = {tenant: f"key of {tenant}" for tenant in ("here", "there")}
    web = make_web(api_keys=" ".join(f"{one}:{hashlib.sha256(key.encode()).hexdigest()}" for one, key in keys.items()))
    headers = {tenant: {"Authorization": f"Bearer {key}"} for tenant, key in keys.items()}
    name = stored(web, tenant="here", headers=headers["here"])
    assert submit(web, name, headers["there"]).status_code == 404
    assert submit(web, name, headers["here"]).status_code == 202


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GIF89a" + bytes(100), 415),
        (b"", 415),
        (DATA[:20], 422),
        (picture(size=(40, 30))[:8] + bytes(40), 422),
        (picture("JPEG", (40, 30))[:3] + bytes(300_000), 422),
        (picture("WEBP", (40, 30))[:-10], 422),
    ],
)
def test_what_is_no_image_to_take_is_refused_and_no_worker_touches_it(web, data, status):
    name = stored(web, data)
    assert submit(web, name).status_code == status
    assert web.taken() == []


def fetched(web):
    return [call for call in web.inputs.script.calls if call[0] == "start"]


def test_the_first_bytes_of_a_good_upload_are_fetched_once_however_often_its_submission_is_refused(web):
    name = stored(web)
    web.inputs.script.fail("copy", aws_error("SlowDown", 503), times=5)
    assert [submit(web, name).status_code for _ in range(6)] == [503] * 5 + [202]
    assert len(fetched(web)) == 1


def test_only_so_many_uploads_are_known_to_be_good(web, monkeypatch):
    monkeypatch.setattr(direct, "KEPT", 1)
    web.inputs.script.fail("copy", aws_error("SlowDown", 503), times=4)
    for name in [stored(web), stored(web)] * 2:
        assert submit(web, name).status_code == 503
    assert len(fetched(web)) == 4


@pytest.mark.parametrize(
    ("data", "settings", "code"),
    [
        (b"GIF89a" + bytes(100), {}, "unsupported-image"),
        (DATA[:20], {}, "undecodable-image"),
        (DATA, {"max_pixels": 1024}, "too-large"),
        (DATA + bytes(2000), {"max_image_bytes": 2000}, "too-large"),
    ],
)
def test_what_is_no_image_to_take_is_gone_once_it_is_refused_and_not_fetched_again(make_web, data, settings, code):
    web = make_web(**settings)
    name, another = stored(web, data), stored(web)
    refused = submit(web, name)
    assert refused.json["code"] == code
    assert list(web.inputs.objects) == [f"default/uploads/{another}"]
    for _ in range(2):
        again = submit(web, name)
        assert (again.status_code, again.json["code"]) == (404, "not-found")
        assert "or what it brought was no image to take and is gone" in again.json["detail"]
    assert len(fetched(web)) == 1


def test_one_that_is_refused_and_cannot_be_cleared_is_refused_for_what_it_is_and_cleared_later(web):
    name = stored(web, b"GIF89a" + bytes(100))
    web.inputs.script.fail("delete", aws_error("SlowDown", 503))
    assert [submit(web, name).status_code for _ in range(3)] == [415, 415, 404]
    assert web.inputs.objects == {}


@pytest.mark.parametrize("method", ["size", "start"])
def test_an_outage_is_no_verdict(web, method):
    name = stored(web, b"GIF89a" + bytes(100))
    web.inputs.script.fail(method, aws_error("SlowDown", 503))
    assert submit(web, name).status_code == 503
    assert list(web.inputs.objects) == [f"default/uploads/{name}"]


def test_one_with_too_many_pixels_or_bytes_is_refused(make_web):
    web = make_web(max_pixels=1024, max_image_bytes=2000)
    assert submit(web, stored(web)).status_code == 413
    assert submit(web, stored(web, picture(size=(8, 8)) + bytes(2000))).status_code == 413
    assert web.taken() == []


def test_only_the_first_bytes_come_through_the_door(web):
    data = picture("JPEG", (40, 30)) + bytes(2_000_000)
    assert submit(web, stored(web, data)).status_code == 202
    assert [call for call in web.inputs.script.calls if call[0] == "get"] == []
    assert [call[1][1] for call in fetched(web)] == [256 * 1024]


@pytest.mark.parametrize("method", ["size", "start", "copy"])
def test_an_outage_takes_nothing_in_and_the_repeat_makes_it_good(web, method):
    name = stored(web)
    web.inputs.script.fail(method, aws_error("SlowDown", 503))
    refused = submit(web, name)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert (web.taken(), web.deps.jobs.demand.outstanding()) == ([], 0)
    assert submit(web, name).status_code == 202
    assert len(web.taken()) == 1


def test_an_upload_that_cannot_be_cleared_costs_nobody_the_answer(web):
    name = stored(web)
    web.inputs.script.fail("delete", aws_error("SlowDown", 503))
    assert submit(web, name).status_code == 202
    assert submit(web, name).status_code == 202
    assert {request.id for request in web.taken()} == {name.partition(".")[0]}


def test_while_it_is_unanswered_it_is_sent_once_however_often_it_is_stored_and_submitted(web):
    name = stored(web)
    for _ in range(20):
        assert submit(web, name).status_code == 202
        web.inputs.put(f"default/uploads/{name}", DATA, "image/png")  # the invitation is still good
    assert len(web.taken()) == 1


def test_where_it_is_not_known_to_be_unanswered_it_is_sent_again_and_charged_again(make_web):
    web = make_web()
    other = beside(web, make_web(rate_limit="2/hour"))
    name = stored(web)
    codes = []
    for _ in range(3):
        other.deps.jobs.demand.withdrawn(name.partition(".")[0], "default")  # as if it had just started
        codes.append(submit(other, name).status_code)
        web.inputs.put(f"default/uploads/{name}", DATA, "image/png")
    assert codes == [202, 202, 202]
    other.deps.jobs.demand.withdrawn(name.partition(".")[0], "default")
    assert submit(other, name).status_code == 429
    assert len(web.taken()) == 3


def test_one_that_could_not_be_sent_is_not_taken_in_and_the_repeat_makes_it_good(web):
    name = stored(web)
    web.requests.script.fail("send", aws_error("SlowDown", 503))
    assert submit(web, name).status_code == 503
    assert web.deps.jobs.demand.outstanding() == 0
    assert submit(web, name).status_code == 202
    assert len(web.taken()) == 1


def test_of_two_that_submit_it_at_once_one_is_told_to_come_again_for_the_other_may_fail_yet(web):
    name = stored(web)
    copy, again = web.inputs.copy, []

    def copies(source, key):
        web.inputs.copy = copy
        again.append(submit(web, name))
        raise aws_error("SlowDown", 503)

    web.inputs.copy = copies
    assert submit(web, name).status_code == 503
    assert (again[0].status_code, again[0].headers["Retry-After"]) == (503, "1")
    assert submit(web, name).status_code == 202
    assert len(web.taken()) == 1


def test_of_two_nodes_that_take_it_in_at_once_both_give_the_job(web, make_web):
    other, name = beside(web, make_web()), stored(web)
    copy, again = web.inputs.copy, []

    def copies(source, key):
        again.append(submit(other, name).status_code)
        return copy(source, key)

    web.inputs.copy = copies
    assert [submit(web, name).status_code, *again] == [202, 202]
    assert {request.id for request in web.taken()} == {name.partition(".")[0]}


def test_without_credentials_to_sign_with_nobody_is_invited(web):
    web.inputs.script.fail("invite", NoCredentialsError())
    assert announce(web).status_code == 503


def test_an_old_one_says_so(web):
    name = stored(web)
    web.clock.sleep(24 * 3600 + 1)
    assert (submit(web, name).status_code, submit(web, name).json["code"]) == (410, "expired")


def test_an_invitation_counts_as_the_image_that_it_is_for(make_web):
    web = make_web(rate_limit="2/hour")
    names = [stored(web) for _ in range(2)]
    assert announce(web).status_code == 429
    assert [submit(web, name).status_code for name in names] == [202, 202]
