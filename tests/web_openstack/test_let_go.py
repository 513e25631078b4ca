"""What a refused or broken request had in memory, or on disk, goes with it, and waits for no collector of cycles."""

import gc
from contextlib import suppress
from pathlib import Path

import falcon
import pytest
from keyed import Keys, ask, header, serving, until
from test_gate import opened
from test_incoming import large
from web_tier import multipart, picture

from skylens.fakes import aws_error

MANY = 40
IMAGE = {"Content-Type": "image/png", "Prefer": "respond-async"}


@pytest.fixture
def key():
    keys = Keys()
    return keys, header(keys.add("acme", tenant="acme"))


@pytest.fixture
def web(make_web, key):
    return make_web(ring=lambda: key[0].ring, max_body_bytes=2 * 1024**2, max_image_bytes=2 * 1024**2, max_waits=8)


def requests():
    """How many there are, with those that other tests keep."""
    return sum(isinstance(one, falcon.Request) for one in gc.get_objects())


def conflict(web, headers, port):
    once = headers | {"Idempotency-Key": "once"}
    ask(port, "POST", "/v1/images", picture(), IMAGE | once)
    return lambda: ask(port, "POST", "/v1/images", picture(size=(9, 9)), IMAGE | once)[0], 409


def damaged(web, headers, port):
    return lambda: ask(port, "POST", "/v1/images", picture()[:40], IMAGE | headers)[0], 422


def broken_bucket(web, headers, port):
    def send():
        web.inputs.script.fail("put", aws_error("SlowDown", 503))
        return ask(port, "POST", "/v1/images", picture(), IMAGE | headers)[0]

    return send, 503


def broken_queue(web, headers, port):
    def send():
        web.requests.script.fail("send", aws_error("SlowDown", 503))
        return ask(port, "POST", "/v1/images", picture(), IMAGE | headers)[0]

    return send, 503


def broken_look(web, headers, port):
    job = web.deps.jobs.new_id()

    def send():
        web.outputs.script.fail("get", aws_error("SlowDown", 503))
        return ask(port, "GET", f"/v1/images/{job}", headers=headers)[0]

    return send, 503


def bad_files(web, headers, port):
    body, kind = multipart(*[("f", "a.png", b"no image")] * 3)
    return lambda: ask(port, "POST", "/v1/batches", body, kind | headers)[0], 202


def plain_door(web, headers, port):
    body, kind = multipart(("f", "a.png", picture()[:40]))
    return lambda: ask(port, "POST", "/", body, kind | headers)[0], 422


def stranger(web, headers, port):
    return lambda: ask(port, "POST", "/v1/images", picture(), IMAGE)[0], 401


@pytest.mark.parametrize(
    "kind", [conflict, damaged, broken_bucket, broken_queue, broken_look, bad_files, plain_door, stranger]
)
def test_a_refused_request_is_forgotten(web, key, uncollected, kind):
    with serving(web) as port:
        send, status = kind(web, key[1], port)
        before = requests()
        assert [send() for _ in range(MANY)] == [status] * MANY
        until(lambda: requests() < before + MANY / 4)


def test_the_file_of_an_upload_that_was_cut_off_goes_at_once(web, key, uncollected):
    lines = [f"{name}: {value}" for name, value in key[1].items()]
    data = large(1024**2)

    def files():
        found = 0
        for number in Path("/proc/self/fd").iterdir():
            with suppress(OSError):  # that of this listing
                found += str(number.readlink()).endswith("(deleted)")
        return found

    before = files()
    with serving(web) as port:
        for _ in range(MANY):
            with opened(port, "Content-Type: image/jpeg", f"Content-Length: {len(data)}", *lines) as link:
                link.sendall(data[:-1])
                until(web.deps.room.taken)
            until(lambda: not web.deps.room.taken())
        until(lambda: files() <= before)
