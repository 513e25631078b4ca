"""Bodies that do not fit in memory: taken in as there is room on disk for them, which comes back whatever happens."""

import contextlib
import errno
import io
import json
import threading

import psutil
import pytest
from keyed import Keys, ask, header, serving, until
from test_gate import opened, read_all
from waitress.buffers import TempfileBasedBuffer
from web_tier import multipart, picture

from web_openstack import incoming, server
from web_openstack.connections import Connections
from web_openstack.room import PATIENCE

MOST = 2 * 1024**2
"""Bytes of the largest body; as many of one tenant's fit in twice."""
HALF = MOST - 1
ASYNC = "Prefer: respond-async"


@pytest.fixture
def keys():
    made = Keys()
    for tenant in ("acme", "other"):
        made.add(tenant, tenant=tenant)
    return made


@pytest.fixture
def web(make_web, keys):
    return make_web(ring=lambda: keys.ring, max_body_bytes=MOST, max_image_bytes=MOST, inline_bytes=0, max_waits=8)


@pytest.fixture
def port(web, monkeypatch):
    monkeypatch.setattr(server.Server, "maintenance", hasty(server.Server.maintenance))
    with serving(web) as port:
        yield port
    assert (web.deps.room.taken(), web.deps.memory.taken()) == (0, 0)


def hasty(look):
    """Look after connections at every turn."""

    def maintenance(made, now):
        made.adj.cleanup_interval, made.next_channel_cleanup = 0.1, 0
        look(made, now)

    return maintenance


def large(size=HALF):
    """An image file of so many bytes."""
    data = picture("JPEG")
    return data[:2] + filler(size - len(data)) + data[2:]


def filler(size):
    """Application segments of a JPEG, so many bytes in all."""
    out = b""
    while size:
        length = min(size, 60_000)
        length -= 0 < size - length < 4 and 4
        out += b"\xff\xef" + (length - 2).to_bytes(2) + bytes(length - 4)
        size -= length
    return out


def key_line(keys, tenant="acme"):
    return f"Authorization: Bearer {keys.secrets[tenant]}"


@contextlib.contextmanager
def sending(port, keys, *lines, tenant="acme", size=HALF):
    """A connection on which the head of a large request was sent, and a little more."""
    length = [] if any("chunked" in line for line in lines) else [f"Content-Length: {size}"]
    with opened(port, key_line(keys, tenant), "Content-Type: image/jpeg", ASYNC, *length, *lines) as link:
        yield link


def status(link):
    return int(link.recv(65536).split(b" ")[1])


@pytest.fixture
def full(web, port, keys):
    """Two of the tenant's large bodies are on their way in, which never end."""
    with sending(port, keys) as one, sending(port, keys) as two:
        until(lambda: web.deps.room.taken() == 2 * HALF)
        yield one, two


def kept(port):
    """How many connections the server keeps."""
    return sum(one.laddr.port == port and bool(one.raddr) for one in psutil.Process().net_connections("tcp4"))


def test_who_leaves_while_waiting_for_room_keeps_no_place(port, keys, full):
    with sending(port, keys):
        until(lambda: kept(port) == 3)
        for _ in range(30):
            with sending(port, keys, size=100_000):
                pass
        until(lambda: kept(port) == 3)


def test_what_finds_no_room_is_not_read_until_there_is_some_and_is_then_taken_in(web, port, keys, full):
    data = large()
    with sending(port, keys, "Expect: 100-continue") as third:
        assert ask(port, "GET", "/healthz")[0] == 200
        third.settimeout(0.2)
        with pytest.raises(TimeoutError):
            third.recv(1)
        assert web.deps.room.taken() == 2 * HALF
        full[0].close()
        third.settimeout(60)
        assert third.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        third.sendall(data)
        assert status(third) == 202
    assert web.inputs.objects


def test_what_came_with_the_headers_is_kept_while_it_waits(web, port, keys, full):
    with sending(port, keys) as third:
        third.sendall(large())
        full[0].close()
        assert status(third) == 202


def test_another_tenant_and_small_bodies_come_in_meanwhile(port, keys, full):
    small = {"Content-Type": "image/png", "Prefer": "respond-async"} | header(keys.secrets["acme"])
    assert ask(port, "POST", "/v1/images", picture(), small)[0] == 202
    with sending(port, keys, tenant="other") as link:
        link.sendall(large())
        assert status(link) == 202


def test_who_waits_too_long_is_told_when_to_come_again(web, port, keys, full):
    with sending(port, keys) as third:
        until(lambda: web.deps.room._waiting)
        web.clock.sleep(PATIENCE)
        head, body = read_all(third)
    assert head.startswith("HTTP/1.1 503 ")
    assert "\r\nRetry-After: 5" in head
    assert json.loads(body)["code"] == "unavailable"


def test_who_leaves_while_it_waits_is_forgotten(web, port, keys, full):
    with sending(port, keys):
        until(lambda: web.deps.room._waiting)
        web.clock.sleep(PATIENCE)
    until(lambda: not web.deps.room._waiting)
    assert web.deps.room.taken() == 2 * HALF


def test_a_body_of_unknown_length_takes_more_room_as_it_comes(web, port, keys):
    data = large(HALF - 100)
    with sending(port, keys, "Transfer-Encoding: chunked") as link:
        until(lambda: web.deps.room.taken() == 1024**2)
        link.sendall(b"180000\r\n" + data[:0x180000] + b"\r\n")
        until(lambda: web.deps.room.taken() == MOST)
        link.sendall(f"{len(data) - 0x180000:x}\r\n".encode() + data[0x180000:] + b"\r\n0\r\n\r\n")
        assert status(link) == 202


def test_one_that_outgrows_the_room_is_told_when_to_come_again(web, port, keys):
    with sending(port, keys), sending(port, keys, "Transfer-Encoding: chunked") as link:
        until(lambda: web.deps.room.taken() == HALF + 1024**2)
        with sending(port, keys, size=1024**2 - 1000):
            until(lambda: web.deps.room.taken() > HALF + 1024**2)
            link.sendall(b"180000\r\n" + bytes(0x180000))
            head, _ = read_all(link)
    assert head.startswith("HTTP/1.1 503 ")


@pytest.mark.parametrize("route", ["/v1/images", "/v1/batches"])
def test_its_room_is_given_back_once_it_was_read_however_long_its_answer_takes(web, port, keys, route):
    body, kind = multipart(("file", "a.jpg", large(MOST - 1000)))
    kind |= header(keys.secrets["acme"]) | ({"Prefer": "wait=20"} if route == "/v1/images" else {})
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask(port, "POST", route, body, kind)))
    asking.start()
    until(web.taken)
    until(lambda: not web.deps.room.taken())
    assert bool(answers) <= (route == "/v1/batches")
    web.deps.drain()
    asking.join(60)
    assert answers[0][0] in {200, 202}


@pytest.mark.parametrize("route", ["/v1/images", "/v1/batches", "/"])
def test_what_is_in_memory_keeps_its_room_until_it_is_stored(web, port, keys, monkeypatch, route):
    stuck, real = threading.Event(), web.inputs.put
    monkeypatch.setattr(web.inputs, "put", lambda *image: stuck.wait(60) and real(*image))
    body, kind = multipart(("file", "a.jpg", large(MOST - 1000)))
    kind |= header(keys.secrets["acme"]) | {"Prefer": "respond-async"}
    asking = threading.Thread(target=ask, args=(port, "POST", route, body, kind))
    streams, took = [], incoming.Parser.get_body_stream
    monkeypatch.setattr(incoming.Parser, "get_body_stream", lambda parser: streams.append(took(parser)) or streams[-1])
    asking.start()
    until(lambda: streams and streams[0]._stream.closed)
    assert web.deps.room.taken() == len(body)
    stuck.set()
    until(lambda: not web.deps.room.taken())
    web.deps.drain()
    asking.join(60)


def test_who_waits_is_let_in_as_soon_as_a_thread_that_goes_on_serving_has_left(web, port, keys, monkeypatch):
    """Though nothing else wakes the main loop, whose turn takes a minute here."""
    turn = Connections.turn
    monkeypatch.setattr(Connections, "turn", lambda self, _: turn(self, 60))
    stuck, put = threading.Event(), web.inputs.put
    monkeypatch.setattr(web.inputs, "put", lambda *image: stuck.wait(60) and put(*image))
    with opened(
        port, key_line(keys), f"Content-Length: {MOST - 1}", "Content-Type: image/jpeg", "Prefer: wait=60"
    ) as first:
        first.sendall(large(MOST - 1))
        with sending(port, keys), sending(port, keys, "Expect: 100-continue") as third:
            until(lambda: web.deps.room._waiting)
            stuck.set()
            third.settimeout(30)
            assert third.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        web.deps.drain()


@pytest.mark.parametrize(
    ("line", "rest", "expected"),
    [
        ("X: y", bytes(HALF), 415),
        ("Transfer-Encoding: chunked", b"zz\r\n", 400),
        ("Transfer-Encoding: chunked", b"400000\r\n" + bytes(4 * 1024**2), 413),
    ],
)
def test_a_bad_body_gives_its_room_back(web, port, keys, line, rest, expected):
    with sending(port, keys, line) as link:
        until(web.deps.room.taken)
        with contextlib.suppress(OSError):
            link.sendall(rest)
        assert status(link) == expected
    until(lambda: not web.deps.room.taken())


class OnFullDisk(io.BytesIO):
    """A file that finds room on the disk up to some size, and that then, as buffered ones do, fails to close too."""

    is_full = False

    def write(self, data):
        if self.tell() + len(data) > MOST // 4:
            self.is_full = True
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)

    def close(self):
        super().close()
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_ends_that_upload_alone_though_its_file_cannot_even_be_closed(web, port, keys, monkeypatch):
    monkeypatch.setattr(TempfileBasedBuffer, "newfile", lambda _: OnFullDisk())
    with sending(port, keys) as link, contextlib.suppress(OSError):
        for _ in range(0, HALF, 1024):
            link.sendall(bytes(1024))
        assert link.recv(65536) == b""
    until(lambda: not web.deps.room.taken())
    assert ask(port, "GET", "/healthz")[0] == 200


def test_who_may_not_send_takes_no_room(web, port):
    with opened(port, f"Content-Length: {HALF}", "Content-Type: image/jpeg") as link:
        assert read_all(link)[0].startswith("HTTP/1.1 401 ")
    assert web.deps.room.taken() == 0


@pytest.fixture
def slow(web, monkeypatch):
    """A bucket that takes nothing until this is set, beside memory for one large image of a tenant."""
    stuck, put = threading.Event(), web.inputs.put
    monkeypatch.setattr(web.inputs, "put", lambda *image: stuck.wait(60) and put(*image))
    monkeypatch.setattr(web.deps.memory, "_size", 2 * MOST)
    yield stuck
    stuck.set()


def test_what_came_in_is_read_as_there_is_memory_for_it(web, port, keys, slow):
    data = large()
    with sending(port, keys) as one, sending(port, keys) as two, sending(port, keys, tenant="other", size=9) as third:
        for link in (one, two):
            link.sendall(data)
            until(web.deps.memory.taken)
        until(lambda: web.deps.memory._waiting)
        assert (web.deps.memory.taken(), web.deps.room.taken()) == (HALF, 2 * HALF)
        assert ask(port, "GET", "/healthz")[0] == 200
        third.sendall(b"no image!")
        assert status(third) == 415
        slow.set()
        assert {status(one), status(two)} == {202}
    until(lambda: not web.deps.memory.taken())
    assert len(web.taken()) == 2


def test_a_body_is_as_much_in_memory_as_an_image_of_it(web, port, keys, slow):
    body, kind = multipart(*[("file", "a.jpg", large(MOST // 2))] * 3)
    kind |= header(keys.secrets["acme"])
    web.deps.memory._largest = MOST // 2
    asking = threading.Thread(target=ask, args=(port, "POST", "/v1/batches", body[: MOST - 1], kind))
    asking.start()
    until(web.deps.memory.taken)
    assert web.deps.memory.taken() == MOST // 2
    slow.set()
    asking.join(60)


def test_who_waits_too_long_for_memory_is_told_when_to_come_again(web, port, keys, slow):
    with sending(port, keys) as one, sending(port, keys) as two:
        one.sendall(large())
        until(web.deps.memory.taken)
        two.sendall(large())
        until(lambda: web.deps.memory._waiting)
        web.clock.sleep(PATIENCE)
        head, body = read_all(two)
        assert head.startswith("HTTP/1.1 503 ")
        assert json.loads(body)["code"] == "unavailable"
        slow.set()
        assert status(one) == 202


@pytest.mark.parametrize("size", [1000, HALF])
@pytest.mark.parametrize("route", ["/v1/images", "/"])
def test_what_is_behind_the_end_of_a_form_is_let_go_as_well_while_its_client_waits(
    web, port, keys, monkeypatch, route, size
):
    streams, took = [], incoming.Parser.get_body_stream
    monkeypatch.setattr(incoming.Parser, "get_body_stream", lambda parser: streams.append(took(parser)) or streams[-1])
    body, kind = multipart(("file", "a.png", picture()))
    body += bytes(size - len(body))
    lines = [f"Content-Type: {kind['Content-Type']}", "Prefer: wait=60", f"Content-Length: {size}"]
    with opened(port, key_line(keys), *lines, path=route) as link:
        link.sendall(body)
        until(lambda: web.deps.jobs.waiters._held)
        until(lambda: [stream._stream.closed for stream in streams] == [True])
        assert (web.deps.room.taken(), web.deps.memory.taken()) == (0, 0)


@pytest.mark.parametrize("size", [5000, 100_000])
def test_a_list_of_keys_is_counted_as_what_it_takes_in_memory(web, port, keys, monkeypatch, size):
    copied, go = threading.Event(), threading.Event()
    monkeypatch.setattr(web.inputs, "size", lambda _: copied.set() or (go.wait(60) and None))
    body = json.dumps({"keys": ["acme/1"]}).encode().ljust(size)
    asking = threading.Thread(
        target=ask, args=(port, "POST", "/v1/batches", body, header(keys.secrets["acme"]) | {"Content-Type": JSON})
    )
    asking.start()
    assert copied.wait(60)
    assert web.deps.memory.taken() == incoming.JSON_WEIGHT * size
    go.set()
    asking.join(60)


JSON = "Application/JSON; charset=utf-8"


def test_a_small_body_is_let_go_too_while_its_client_waits(web, port, keys, monkeypatch):
    streams = []
    took = incoming.Parser.get_body_stream
    monkeypatch.setattr(incoming.Parser, "get_body_stream", lambda parser: streams.append(took(parser)) or streams[-1])
    small = picture()
    lines = ("Content-Type: image/png", "Prefer: wait=60", f"Content-Length: {len(small)}")
    with opened(port, key_line(keys), *lines) as link:
        link.sendall(small)
        until(lambda: web.deps.jobs.waiters._held)
        assert [stream._stream.closed for stream in streams] == [True]
