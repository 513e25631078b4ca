"""``/v1/images``: in with an image, out with its own labels, or with an error that says what to do."""

import hashlib
import threading

import pytest
from web_tier import multipart, picture

from skylens.errors import UndecodableImageError
from skylens.fakes import aws_error

PNG = {"Content-Type": "image/png"}
ASYNC = PNG | {"Prefer": "respond-async"}


def test_an_image_is_stored_before_its_request_is_queued(web):
    web.requests.script.fail("send", aws_error("ServiceUnavailable", 503))
    answer = web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert len(web.inputs.objects) == 1
    assert web.deps.jobs.demand.snapshot().outstanding == 0


def test_a_request_goes_to_the_queue_in_its_tenants_group(web):
    web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC)
    assert [message.group for message in web.requests.messages.values()] == ["default"]


def test_a_failing_bucket_takes_nothing_in(web):
    web.inputs.script.fail("put", aws_error("SlowDown", 503))
    answer = web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC)
    assert answer.status_code == 503
    assert web.taken() == []


def test_async_answers_202_with_the_place_of_the_answer(web):
    answer = web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC)
    (request,) = web.taken()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/images/{request.id}"
    assert answer.json == {"id": request.id, "status": "working"}
    assert answer.headers["Preference-Applied"] == "respond-async"


def test_a_waiting_client_gets_the_result_on_the_same_connection(web):
    body, headers = multipart(("any", "holiday.jpg", picture("JPEG")))
    with web.answering():
        answer = web.client.simulate_post("/v1/images", body=body, headers=headers, params={"top": "2"})
    assert answer.status_code == 200
    assert answer.json["name"] == "holiday.jpg"
    assert [entry["label"] for entry in answer.json["labels"]] == ["cat", "dog"]
    assert set(answer.json["timings"]) == {"received", "queued", "started", "finished"}
    assert web.deps.jobs.demand.snapshot().completions[-1] == 1


def test_a_part_with_endless_headers_is_refused(web):
    good, kind = multipart(("file", "a" * 240 + ".png", picture()))
    assert (
        web.client.simulate_post("/v1/images", body=good, headers=kind | {"Prefer": "respond-async"}).status_code == 202
    )
    bad, _ = multipart(("file", "a" * 2048 + ".png", picture()))
    answer = web.client.simulate_post("/v1/images", body=bad, headers=kind)
    assert (answer.status_code, answer.json["code"]) == (400, "bad-request")


def test_clients_with_the_same_file_name_never_get_each_others_answer(web):
    pictures = [picture(size=(n + 1, 1)) for n in range(20)]
    answers = {}

    def post(n):
        body, headers = multipart(("f", "same.png", pictures[n]))
        answers[n] = web.client.simulate_post("/v1/images", body=body, headers=headers).json

    with web.answering(label=lambda request: request.digest):
        threads = [threading.Thread(target=post, args=(n,)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    digests = {n: answer["labels"][0]["label"] for n, answer in answers.items()}
    assert len(set(digests.values())) == 20
    assert all(answers[n]["digest"] == digests[n] for n in digests)


def test_the_result_can_be_asked_for_again_by_id(web):
    web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC)
    (request,) = web.taken()
    assert web.client.simulate_get(f"/v1/images/{request.id}").status_code == 202
    web.deps.jobs.settle(web.reply(request))
    first = web.client.simulate_get(f"/v1/images/{request.id}")
    assert first.status_code == 200
    assert web.client.simulate_get(f"/v1/images/{request.id}").json == first.json


def test_another_web_node_answers_from_the_bucket(web, make_web):
    other = make_web()
    other.deps.jobs.__dict__.update(inputs=web.inputs, outputs=web.outputs)
    web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC)
    (request,) = web.taken()
    assert other.client.simulate_get(f"/v1/images/{request.id}").status_code == 202
    web.reply(request)
    assert other.client.simulate_get(f"/v1/images/{request.id}", params={"wait": "5"}).status_code == 200


def test_a_failed_job_is_a_problem_that_names_it(web):
    web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC)
    (request,) = web.taken()
    web.deps.jobs.settle(web.reply(request, failure=UndecodableImageError("broken at row 3")))
    answer = web.client.simulate_get(f"/v1/images/{request.id}")
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json["code"], answer.json["detail"], answer.json["id"]) == (
        "undecodable-image",
        "broken at row 3",
        request.id,
    )


@pytest.mark.parametrize("job", ["x", "1", "00000000-0000-4000-8000-000000000000", "../../etc/passwd", "%00"])
def test_what_is_no_id_is_not_found(web, job):
    assert web.client.simulate_get(f"/v1/images/{job}").status_code == 404


def test_an_unknown_id_is_not_found_and_an_old_one_is_gone(web):
    job = web.deps.jobs.new_id()
    assert web.client.simulate_get(f"/v1/images/{job}").status_code == 404
    web.clock.sleep(24 * 3600 + 1)
    assert web.client.simulate_get(f"/v1/images/{job}").status_code == 410


def test_a_second_reply_changes_nothing(web):
    web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC)
    (request,) = web.taken()
    reply = web.reply(request)
    assert web.deps.jobs.settle(reply)
    assert not web.deps.jobs.settle(reply)
    assert sum(web.deps.jobs.demand.snapshot().completions) == 1


def test_the_same_key_and_bytes_are_the_same_job(web):
    headers = ASYNC | {"Idempotency-Key": "k1"}
    first = web.client.simulate_post("/v1/images", body=picture(), headers=headers)
    again = web.client.simulate_post("/v1/images", body=picture(), headers=headers)
    assert first.json["id"] == again.json["id"]
    assert len(web.taken()) == 1


def test_the_same_key_with_other_bytes_is_a_conflict(web):
    headers = ASYNC | {"Idempotency-Key": "k1"}
    web.client.simulate_post("/v1/images", body=picture(), headers=headers)
    answer = web.client.simulate_post("/v1/images", body=picture(size=(9, 9)), headers=headers)
    assert (answer.status_code, answer.json["code"]) == (409, "idempotency-conflict")


def test_a_door_that_died_between_key_and_queue_is_made_good_by_the_repeat(web):
    headers = ASYNC | {"Idempotency-Key": "k1"}
    web.requests.script.fail("send", aws_error("ServiceUnavailable", 503))
    assert web.client.simulate_post("/v1/images", body=picture(), headers=headers).status_code == 503
    answer = web.client.simulate_post("/v1/images", body=picture(), headers=headers)
    assert answer.status_code == 202
    assert [request.id for request in web.taken()] == [answer.json["id"]]


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        (PNG, b"", 415, "unsupported-image"),
        (PNG, b"hello, I am text", 415, "unsupported-image"),
        (PNG, picture()[:40], 422, "undecodable-image"),
        ({"Content-Type": "image/jpeg"}, picture("JPEG", (64, 64))[:-60], 422, "undecodable-image"),
        ({"Content-Type": "image/gif"}, picture("GIF"), 415, "unsupported-image"),
        ({"Content-Type": "text/plain"}, picture(), 415, "unsupported-image"),
        ({"Content-Type": "multipart/form-data"}, b"x", 400, "bad-request"),
        ({"Content-Type": "multipart/form-data; boundary=xyz"}, b"no such boundary", 400, "bad-request"),
        ({"Content-Type": "multipart/form-data; boundary=xyz"}, b"--xyz--\r\n", 400, "bad-request"),
        (PNG | {"Idempotency-Key": "x" * 300}, picture(), 400, "bad-request"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_stored(web, headers, body, status, code):
    answer = web.client.simulate_post("/v1/images", body=body, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (web.inputs.objects, web.taken()) == ({}, [])


def test_a_wrong_content_type_among_images_is_forgiven(web):
    answer = web.client.simulate_post("/v1/images", body=picture("JPEG"), headers=ASYNC)
    assert answer.status_code == 202
    assert web.inputs.script.calls[-1] == ("put", (f"default/{answer.json['id']}", "image/jpeg"))


@pytest.mark.parametrize("query", [{"top": "0"}, {"top": "101"}, {"top": "five"}, {"top": "-1"}, {"top": ""}])
def test_a_bad_top_is_named(web, query):
    answer = web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC, params=query)
    assert answer.status_code == 400
    assert f"top={query['top']!r}" in answer.json["detail"]


def test_a_too_large_image_is_refused_whatever_was_announced(make_web):
    web = make_web(max_image_bytes=2048)
    body, headers = multipart(("f", "big.png", b"\x89PNG" + b"x" * 4000))
    assert web.client.simulate_post("/v1/images", body=body, headers=headers).status_code == 413


def test_too_many_pixels_are_refused(make_web):
    web = make_web(max_pixels=2000)
    answer = web.client.simulate_post("/v1/images", body=picture(size=(50, 50)), headers=PNG)
    assert (answer.status_code, "50 x 50" in answer.json["detail"]) == (413, True)


def test_two_files_in_one_body_are_sent_to_batches(web):
    body, headers = multipart(("a", "a.png", picture()), ("b", "b.png", picture()))
    answer = web.client.simulate_post("/v1/images", body=body, headers=headers)
    assert (answer.status_code, "/v1/batches" in answer.json["detail"]) == (400, True)


def test_form_fields_beside_the_file_are_passed_over(web):
    body, headers = multipart(("note", None, b"hello"), ("f", "a.png", picture()))
    answer = web.client.simulate_post("/v1/images", body=body, headers=headers | {"Prefer": "respond-async"})
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cat.png", "cat.png"),
        ("a\tb\x07c.png", "abc.png"),
        ("ü" * 300 + ".png", "ü" * 127),
        ("", ""),
    ],
)
def test_file_names_are_cleaned_before_they_travel(web, name, kept):
    body, headers = multipart(("f", name, picture()))
    web.client.simulate_post("/v1/images", body=body, headers=headers | {"Prefer": "respond-async"})
    assert [request.name for request in web.taken()] == [kept]


def test_a_key_is_needed_when_keys_are_set(make_web):
    known = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"  # SHA-256 of "foo"
    web = make_web(api_keys=(f"lab:{known}",))
    for headers in ({}, {"Authorization": "Bearer bar"}, {"Authorization": "Basic foo"}):
        answer = web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC | headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    answer = web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC | {"Authorization": "Bearer foo"})
    assert answer.status_code == 202
    assert list(web.inputs.objects) == [f"lab/{answer.json['id']}"]
    assert web.client.simulate_get(f"/v1/images/{answer.json['id']}").status_code == 401


def test_another_tenants_job_is_unknown_also_while_it_is_worked_on(make_web):
    keys = {tenant: f"key of {tenant}" for tenant in ("here", "there")}
    web = make_web(api_keys=" ".join(f"{one}:{hashlib.sha256(key.encode()).hexdigest()}" for one, key in keys.items()))
    headers = {tenant: {"Authorization": f"Bearer {key}"} for tenant, key in keys.items()}
    job = web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC | headers["here"]).json["id"]
    assert web.client.simulate_get(f"/v1/images/{job}", headers=headers["here"]).status_code == 202
    assert web.client.simulate_get(f"/v1/images/{job}", headers=headers["there"]).status_code == 404
    with web.deps.jobs.waiters.expect(job, "there") as strange, web.deps.jobs.waiters.expect(job, "here") as own:
        web.deps.jobs.settle(web.reply(web.taken()[0]))
    assert (strange.reply, own.reply.id) == (None, job)


def test_a_tenant_over_its_rate_is_told_when_to_come_back(make_web):
    web = make_web(rate_limit="2/minute")
    codes = [web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC) for _ in range(3)]
    assert [answer.status_code for answer in codes] == [202, 202, 429]
    assert int(codes[2].headers["Retry-After"]) > 0


def test_when_all_slots_are_taken_the_rest_is_refused_at_once(make_web):
    web = make_web(max_waits=1)
    with web.deps.admission.slot("default"):
        answer = web.client.simulate_post("/v1/images", body=picture(), headers=PNG)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert web.client.simulate_get("/healthz").status_code == 200


def test_draining_wakes_the_waiters_with_the_place_of_their_answer(web):
    answers = []

    def post():
        answers.append(web.client.simulate_post("/v1/images", body=picture(), headers=PNG))

    waiting = threading.Thread(target=post)
    waiting.start()
    while not web.taken():
        pass
    web.deps.drain()
    waiting.join(10)
    assert [answer.status_code for answer in answers] == [202]
    assert web.client.simulate_post("/v1/images", body=picture(), headers=PNG).status_code == 503
    assert web.client.simulate_get("/readyz").status_code == 503


def test_asking_for_an_answer_is_served_when_every_slot_waits(make_web):
    web = make_web(max_waits=1)
    web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC)
    (request,) = web.taken()
    web.reply(request)
    with web.deps.admission.slot("default"):
        assert web.client.simulate_get(f"/v1/images/{request.id}", params={"wait": "60"}).status_code == 200


def test_an_answer_in_the_bucket_is_seen_though_its_message_never_came(web):
    web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC)
    (request,) = web.taken()
    web.reply(request)
    assert web.client.simulate_get(f"/v1/images/{request.id}").status_code == 200
    assert web.deps.jobs.demand.snapshot().outstanding == 0


def test_what_was_taken_in_is_never_answered_with_503(web):
    def settled_elsewhere(job, tenant):
        web.outputs.script.fail("get", aws_error("SlowDown", 503))
        return False

    web.deps.jobs.demand.is_outstanding = settled_elsewhere
    answer = web.client.simulate_post("/v1/images", body=picture(), headers=PNG)
    assert (answer.status_code, len(web.taken())) == (202, 1)


def test_a_key_whose_record_cannot_be_finished_is_taken_in_all_the_same(web):
    web.state.script.fail("put", aws_error("SlowDown", 503))
    answer = web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC | {"Idempotency-Key": "k"})
    assert (answer.status_code, len(web.taken())) == (202, 1)


def test_an_expired_key_makes_a_new_job_and_a_lost_race_says_when_to_come_back(web):
    headers = ASYNC | {"Idempotency-Key": "k"}
    first = web.client.simulate_post("/v1/images", body=picture(), headers=headers)
    web.clock.sleep(24 * 3600 + 1)
    second = web.client.simulate_post("/v1/images", body=picture(), headers=headers)
    assert first.json["id"] != second.json["id"]
    web.clock.sleep(24 * 3600 + 1)
    web.state.put_if = lambda *_, **__: None
    lost = web.client.simulate_post("/v1/images", body=picture(), headers=headers)
    assert (lost.status_code, lost.headers["Retry-After"]) == (503, "1")


def test_a_name_full_of_quotes_still_fits_the_message(web):
    body, headers = multipart(("f", "'" * 3 + "\x27" * 252, picture()))
    body = body.replace(b"'" * 255, b'\\"' * 255)
    answer = web.client.simulate_post("/v1/images", body=body, headers=headers | {"Prefer": "respond-async"})
    assert answer.status_code == 202
    assert web.deps.jobs.demand.snapshot().outstanding == 1
