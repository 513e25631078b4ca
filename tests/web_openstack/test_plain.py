"""The plain-text door: for clients that know nothing but a multipart form and a label."""

import gc
import threading

import pytest
from web_tier import multipart, picture

from skylens.errors import PoisonImageError
from web_openstack.uploads import Image


@pytest.mark.parametrize("path", ["/", "/classify", "/some/deep/path.php", "/upload/"])
def test_any_free_path_takes_an_image(web, path):
    body, headers = multipart(("myfile", "a.png", picture()))
    with web.answering():
        answer = web.client.simulate_post(path, body=body, headers=headers)
    assert (answer.status_code, answer.text) == (200, "cat")
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("name", "text"),
    [("test_00.JPEG", "test_00:cat"), ("a.b.png", "a.b:cat"), ("noext", "noext:cat"), (".hidden", ".hidden:cat")],
)
def test_the_field_input_file_answers_with_the_stem(web, name, text):
    body, headers = multipart(("inputFile", name, picture("JPEG")))
    with web.answering():
        assert web.client.simulate_post("/", body=body, headers=headers).text == text


def test_errors_are_plain_text_too(web):
    for body, headers in (
        multipart(("myfile", "a.txt", b"no image")),
        (b"{}", {"Content-Type": "application/json"}),
        multipart(),
    ):
        answer = web.client.simulate_post("/", body=body, headers=headers)
        assert 400 <= answer.status_code < 500
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.text
        assert "{" not in answer.text


def test_a_failed_image_says_why(web):
    body, headers = multipart(("myfile", "a.png", picture()))
    with web.answering(failure=PoisonImageError()):
        answer = web.client.simulate_post("/", body=body, headers=headers)
    assert (answer.status_code, answer.text) == (422, PoisonImageError().detail)


def test_it_waits_as_long_as_it_takes_and_never_answers_202(make_web):
    web = make_web(plain_wait_seconds=1)
    body, headers = multipart(("myfile", "a.png", picture()))
    answer = web.client.simulate_post("/", body=body, headers=headers)
    assert (answer.status_code, "/v1/images/" in answer.text) == (503, True)


@pytest.mark.parametrize("path", ["/v1/nothing", "/internal/demand", "/page/none.js"])
def test_reserved_paths_are_not_taken(web, path):
    body, headers = multipart(("myfile", "a.png", picture()))
    answer = web.client.simulate_post(path, body=body, headers=headers)
    assert answer.status_code in {404, 405}
    assert web.taken() == []


def test_it_can_be_turned_off(make_web):
    web = make_web(plain_door=False)
    body, headers = multipart(("myfile", "a.png", picture()))
    assert web.client.simulate_post("/", body=body, headers=headers).status_code == 405
    assert web.client.simulate_post("/x", body=body, headers=headers).status_code == 404


def test_no_image_is_held_in_memory_while_its_client_waits(web):
    def images():
        gc.collect()
        return sum(isinstance(one, Image) for one in gc.get_objects())

    before = images()
    body, headers = multipart(("myfile", "a.png", picture()))
    waiting = threading.Thread(target=web.client.simulate_post, args=("/",), kwargs={"body": body, "headers": headers})
    waiting.start()
    for _ in range(1000):
        if web.taken() and images() == before:
            break
        threading.Event().wait(0.01)
    held = images() - before
    web.deps.drain()
    waiting.join(30)
    assert held == 0


def test_a_missing_key_is_told_with_the_scheme(make_web):
    web = make_web(api_keys=(f"lab:{'0' * 64}",))
    body, headers = multipart(("myfile", "a.png", picture()))
    answer = web.client.simulate_post("/", body=body, headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"].split()[0]) == (401, "Bearer")
