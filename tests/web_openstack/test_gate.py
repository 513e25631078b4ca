"""A body is not received from somebody who may not send one, and whoever sends it all the same still hears why."""

import http.client
import json
import socket

import pytest
from keyed import Keys, ask, header, serving, until
from web_tier import picture

from web_openstack import channel

PNG = {"Content-Type": "image/png", "Prefer": "respond-async"}
HUGE = 200_000_000


@pytest.fixture
def keys():
    made = Keys()
    made.add("full")
    made.add("reader", scopes=("read",))
    return made


@pytest.fixture
def port(make_web, keys):
    with serving(make_web(ring=lambda: keys.ring)) as port:
        yield port


def opened(port, *lines, method="POST", path="/v1/images"):
    """A connection on which a request's head was sent."""
    link = socket.create_connection(("127.0.0.1", port), timeout=60)
    link.sendall("\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode())
    return link


def read_all(link):
    """Head and body of all that comes until the other end says that there is no more."""
    data = b""
    while part := link.recv(65536):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode(), body


def key_line(key):
    return f"Authorization: Bearer {key}"


@pytest.mark.parametrize("length", [f"Content-Length: {HUGE}", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize(("name", "status"), [("", 401), ("reader", 403)])
def test_it_is_refused_before_a_byte_of_it_was_sent(port, keys, length, name, status):
    lines = [key_line(keys.secrets[name])] if name else []
    with opened(port, length, "Content-Type: image/png", *lines) as link:
        head, body = read_all(link)
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert "\r\nConnection: close" in head
    assert json.loads(body)["status"] == status


def test_who_would_wait_for_100_continue_is_told_no(port):
    with opened(port, f"Content-Length: {HUGE}", "Expect: 100-continue") as link:
        assert read_all(link)[0].startswith("HTTP/1.1 401 ")


def test_who_may_send_is_told_to_continue(port, keys):
    data = picture()
    lines = [key_line(keys.secrets["full"]), f"Content-Length: {len(data)}", "Expect: 100-continue"]
    with opened(port, *lines, "Content-Type: image/png", "Prefer: respond-async") as link:
        assert link.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        link.sendall(data)
        assert link.recv(65536).startswith(b"HTTP/1.1 202 ")


def test_who_sends_it_all_the_same_still_hears_why(port):
    with opened(port, "Content-Length: 20000000", "Content-Type: image/png") as link:
        for _ in range(200):
            link.sendall(bytes(100_000))
        assert read_all(link)[0].startswith("HTTP/1.1 401 ")


def test_the_bytes_of_a_refused_body_are_no_request(port, keys):
    inner = f"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n{key_line(keys.secrets['full'])}\r\n\r\n"
    with opened(port, f"Content-Length: {len(inner)}") as link:
        link.sendall(inner.encode())
        head, body = read_all(link)
    assert head.startswith("HTTP/1.1 401 ")
    assert json.loads(body)["code"] == "unauthorised"
    together = f"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(inner)}\r\n\r\n{inner}"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        link.sendall(together.encode())
        head, body = read_all(link)
    assert head.startswith("HTTP/1.1 401 ")
    assert json.loads(body)["code"] == "unauthorised"


def test_a_body_that_never_ends_is_cut_off(port, monkeypatch):
    monkeypatch.setattr(channel, "EBB", 0.0)

    def send():
        for _ in range(10_000):
            link.sendall(bytes(100_000))

    with opened(port, f"Content-Length: {HUGE}") as link, pytest.raises(OSError, match=r"reset|Broken pipe"):
        send()


def test_a_client_that_leaves_takes_its_connection_along(make_web, keys):
    web = make_web(ring=lambda: keys.ring)
    with serving(web) as port:
        links = [opened(port, f"Content-Length: {HUGE}") for _ in range(20)]
        assert all(link.recv(65536).startswith(b"HTTP/1.1 401 ") for link in links)
        for link in links:
            link.close()
        until(lambda: ask(port, "GET", "/healthz")[0] == 200)


def test_a_body_that_is_too_large_is_still_413_to_whoever_may_send(make_web, keys):
    web = make_web(ring=lambda: keys.ring, max_image_bytes=2048, max_body_bytes=4096)
    lines = [key_line(keys.secrets["full"]), f"Content-Length: {HUGE}"]
    with serving(web) as port, opened(port, *lines) as link:
        assert link.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        *[(path, method, 400) for path in ("/healthz", "/page/page.js", "/") for method in ("GET", "OPTIONS")],
        *[("/healthz", method, 405) for method in ("POST", "DELETE")],
        *[("/page/page.js", method, 401) for method in ("POST", "DELETE")],
    ],
)
def test_an_open_path_with_a_body_is_refused_without_waiting_for_it(port, method, status, path):
    """With a good answer a proxy would wait for the body."""
    with opened(port, f"Content-Length: {HUGE}", method=method, path=path) as link:
        head, body = read_all(link)
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert json.loads(body)["status"] == status


def test_a_good_key_sends_one_image_after_the_other_on_one_connection(port, keys):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    ends = set()
    for _ in range(3):
        link.request("POST", "/v1/images", picture(), PNG | header(keys.secrets["full"]))
        ends.add(link.sock.getsockname())
        answer = link.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (202, None)
        answer.read()
    link.close()
    assert len(ends) == 1


def test_where_nobody_is_asked_every_body_is_taken(make_web):
    with serving(make_web()) as port:
        assert ask(port, "POST", "/v1/images", picture(), PNG)[0] == 202


def test_keys_in_the_headers_of_a_good_request_are_read_by_the_gate_as_by_the_application(port, keys):
    for value in (f"bearer {keys.secrets['full']}", f"Bearer   {keys.secrets['full']} "):
        assert ask(port, "POST", "/v1/images", picture(), PNG | {"Authorization": value})[0] == 202
    assert ask(port, "POST", "/v1/images", picture(), PNG | header("ü"))[0] == 401
