"""``/v1/batches``: one job per file, progress, results as they come."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

from web_tier import multipart, picture

from skylens.errors import UndecodableImageError
from skylens.fakes import aws_error
from skylens.messages import decode
from web_openstack.batches import Batches, Order
from web_openstack.jobs import COPYING
from web_openstack.resources import batches
from web_openstack.uploads import FIELDS


def post(web, *parts, **query):
    body, headers = multipart(*parts)
    return web.client.simulate_post("/v1/batches", body=body, headers=headers, params=query)


def test_a_batch_makes_one_job_per_file_and_refuses_bad_ones_alone(web):
    answer = post(web, ("f", "a.png", picture()), ("f", "b.txt", b"text"), ("g", "c.png", picture(size=(5, 5))))
    assert answer.status_code == 202
    assert [job["status"] for job in answer.json["jobs"]] == ["working", "failed", "working"]
    assert answer.json["jobs"][1]["error"]["code"] == "unsupported-image"
    assert [request.name for request in web.taken()] == ["a.png", "c.png"]


def test_progress_counts_and_holds_the_results(web):
    batch = post(web, *[("f", f"{n}.png", picture(size=(n + 1, 1))) for n in range(4)], ("f", "x", b"bad!"))
    place = batch.headers["Location"]
    first, second, *_ = web.taken()
    web.reply(first, label="dog")
    web.reply(second, failure=UndecodableImageError())
    seen = web.client.simulate_get(place).json
    assert {key: seen[key] for key in ("total", "done", "failed", "working")} == {
        "total": 5,
        "done": 1,
        "failed": 2,
        "working": 2,
    }
    assert seen["jobs"][0]["result"]["labels"][0]["label"] == "dog"
    assert seen["jobs"][1]["error"]["code"] == "undecodable-image"


def test_results_come_line_by_line_until_all_are_there(web):
    batch = post(web, *[("f", f"{n}.png", picture(size=(n + 1, 1))) for n in range(3)])
    with web.answering(label=lambda request: request.name):
        answer = web.client.simulate_get(
            batch.headers["Location"], headers={"Accept": "application/x-ndjson"}, params={"wait": "30"}
        )
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert sorted(line["result"]["labels"][0]["label"] for line in lines) == ["0.png", "1.png", "2.png"]


def test_stored_objects_make_a_batch_by_their_keys(web):
    web.inputs.put("default/up/one.png", picture(), "image/png")
    web.inputs.put("lab/two.png", picture(), "image/png")
    keys = ["default/up/one.png", "default/up/none.png", "lab/two.png"]
    answer = web.client.simulate_post("/v1/batches", json={"keys": keys})
    assert [job["status"] for job in answer.json["jobs"]] == ["working", "failed", "failed"]
    (request,) = web.taken()
    assert (request.name, request.digest) == ("one.png", "")
    assert web.inputs.objects[request.key][0] == picture()


def test_bad_batches_are_refused(make_web):
    web = make_web(max_batch=2)
    assert post(web).status_code == 400
    for body in (b"", b"{}", b'{"keys": 5}', b'{"keys": []}', b'{"keys": ["a"], "more": 1}', b"nonsense"):
        answer = web.client.simulate_post("/v1/batches", body=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
    assert web.client.simulate_post("/v1/batches", json={"keys": ["a"] * 3}).status_code == 413
    assert web.client.simulate_post("/v1/batches", body=b"x", headers={"Content-Type": "text/csv"}).status_code == 415


def test_a_list_of_very_many_keys_is_refused_before_it_is_read(web, monkeypatch):
    read = []
    monkeypatch.setattr(batches, "decode", lambda kind, data: read.append(len(data)) or decode(kind, data))
    most = web.deps.settings.max_batch
    for key, count, status in (("a" * 900, most, 202), ('a"b', most, 202), ("a", 5 * most, 413), ("\\", 5 * most, 413)):
        assert web.client.simulate_post("/v1/batches", json={"keys": [key] * count}).status_code == status
    assert len(read) == 2


def away_after_one(web):
    """The input bucket takes one image, then fails; the calls that it gets."""
    calls, real = [], web.inputs.put

    def put(*arguments):
        calls.append(arguments)
        if len(calls) > 1:
            raise aws_error("SlowDown", 503)
        real(*arguments)

    web.inputs.put = put
    return calls


def test_an_outage_is_met_once_whatever_lies_between_the_images(web):
    calls = away_after_one(web)
    parts = [("f", "a.png", picture()), ("f", "b.txt", b"text")] * 10
    answer = post(web, *parts)
    assert (answer.status_code, len(calls)) == (202, 2)
    assert refusals(answer) == ["working", "unsupported-image", *["unavailable", "unsupported-image"] * 9]


def test_a_list_of_strange_keys_is_answered_and_kept_in_few_bytes(web):
    keys = ["\x7f" * 180, "default/" + "\U000e0001" * 200]
    answer = web.client.simulate_post("/v1/batches", json={"keys": keys * (web.deps.settings.max_batch // 2)})
    assert answer.status_code == 202
    assert len(answer.content) < 450 * web.deps.settings.max_batch
    assert max(len(data) for data, *_ in web.state.objects.values()) < 450 * web.deps.settings.max_batch


def test_stored_images_are_looked_for_a_few_at_a_time(web):
    lock, at_once, size = threading.Lock(), [0, 0], web.inputs.size

    def slow(key):
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
        threading.Event().wait(0.005)
        with lock:
            at_once[0] -= 1
        return size(key)

    web.inputs.size = slow
    with ThreadPoolExecutor(4 * COPYING) as threads:
        post_keys = {"json": {"keys": ["default/none"] * 5}}
        answers = list(threads.map(lambda _: web.client.simulate_post("/v1/batches", **post_keys), range(4 * COPYING)))
    assert {answer.status_code for answer in answers} == {202}
    assert at_once[1] == COPYING


def test_for_a_client_that_has_gone_no_more_jobs_are_made(web):
    web.inputs.put("default/own", picture(), "image/png")
    left = iter([False, False, True])
    order = Order("default", 5, "", lambda: None)
    batch = Batches(web.deps.state, web.deps.jobs, 9).of_keys(["default/own"] * 9, order, lambda: next(left))
    assert [item.refused.code if item.refused else "" for item in batch.items] == ["", "", "unavailable"]
    assert len(web.taken()) == 2


def test_parts_that_are_no_files_are_few(web):
    files = [("f", "a.png", picture())]
    fields = [("x", None, b"text")] * FIELDS
    assert post(web, *fields, *files).status_code == 202
    answer = post(web, *fields, *fields[:1], *files)
    assert (answer.status_code, "are no files" in answer.json["detail"]) == (400, True)


def test_unknown_and_old_batches(web):
    batch = post(web, ("f", "a.png", picture())).json["id"]
    assert web.client.simulate_get(f"/v1/batches/{web.deps.jobs.new_id()}").status_code == 404
    assert web.client.simulate_get("/v1/batches/nonsense").status_code == 404
    web.clock.sleep(25 * 3600)
    assert web.client.simulate_get(f"/v1/batches/{batch}").status_code == 410


def refusals(answer):
    return [job["error"]["code"] if job["status"] == "failed" else job["status"] for job in answer.json["jobs"]]


def test_files_beyond_the_most_are_refused_and_those_before_them_are_not_sent_in_vain(make_web):
    web = make_web(max_batch=2)
    answer = post(web, *[("f", "a.png", picture())] * 4)
    assert (answer.status_code, refusals(answer)) == (202, ["working", "working", "too-large"])
    assert "this one and all behind it" in answer.json["jobs"][2]["error"]["detail"]
    assert len(web.taken()) == 2


def test_files_that_are_no_images_count_as_any_other(make_web):
    web = make_web(max_batch=3, rate_limit="4/hour")
    bad = ("f", "b.txt", b"text")
    assert refusals(post(web, ("f", "a.png", picture()), bad, bad, bad)) == [
        "working",
        "unsupported-image",
        "unsupported-image",
        "too-large",
    ]
    assert refusals(post(web, bad)) == ["unsupported-image"]
    assert post(web, bad).status_code == 429
    assert post(make_web(max_batch=3), *[bad] * 4).status_code == 413


def test_a_body_cut_short_keeps_the_jobs_before_the_cut(web):
    body, headers = multipart(("f", "a.png", picture()), ("f", "b.png", picture()))
    answer = web.client.simulate_post("/v1/batches", body=body[:-60], headers=headers)
    assert (answer.status_code, refusals(answer)) == (202, ["working", "undecodable-image", "bad-request"])
    assert web.client.simulate_post("/v1/batches", body=body[:50], headers=headers).status_code == 400


def test_a_cloud_that_fails_in_the_middle_refuses_the_rest_of_the_files(web):
    calls = away_after_one(web)
    answer = post(web, *[("f", "a.png", picture())] * 4)
    assert (answer.status_code, refusals(answer)) == (202, ["working", *["unavailable"] * 3])
    assert len(calls) == 2
    assert post(web, ("f", "a.png", picture())).status_code == 503


def test_each_file_counts_against_the_tenants_limit(make_web):
    web = make_web(rate_limit="2/hour")
    answer = post(web, *[("f", "a.png", picture())] * 3)
    assert (answer.status_code, refusals(answer)) == (202, ["working", "working", "too-many-requests"])
    answer = post(web, ("f", "a.png", picture()))
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 3000) == (429, True)


def test_stored_objects_are_measured_and_their_long_names_cut(make_web):
    web = make_web(max_image_bytes=2048)
    web.inputs.put("default/big.png", bytes(4096), "image/png")
    web.inputs.put("default/" + "ä" * 500, picture(), "image/png")
    keys = ["default/" + "ä" * 500, "default/big.png"]
    answer = web.client.simulate_post("/v1/batches", json={"keys": keys})
    assert refusals(answer) == ["working", "too-large"]
    assert web.deps.jobs.demand.snapshot().outstanding == 1


def test_lines_free_their_slot_however_they_end(make_web):
    web = make_web(max_waits=1)
    place = post(web, ("f", "a.png", picture())).headers["Location"]
    ndjson = {"Accept": "application/x-ndjson"}
    assert web.client.simulate_get(place, headers=ndjson, params={"wait": "0"}).text == ""
    web.outputs.script.fail("keys", aws_error("SlowDown", 503))
    assert web.client.simulate_get(place, headers=ndjson).status_code == 503
    with web.deps.admission.slot("default"):
        assert web.client.simulate_get(place, headers=ndjson).status_code == 200
    with web.deps.admission.slot("default"):
        pass


def test_a_list_of_keys_beyond_its_limit_is_too_large_and_not_cut(make_web):
    web = make_web(max_batch=2)
    body = b'{"keys": ["default/a.png"' + b" " * 2200 + b"]}"
    assert (
        web.client.simulate_post("/v1/batches", body=body, headers={"Content-Type": "application/json"}).status_code
        == 413
    )
    assert web.taken() == []
