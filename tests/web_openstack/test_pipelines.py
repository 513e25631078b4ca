"""Requests that come behind each other on one connection: one is taken in at a time, and costs what it costs alone."""

import re
import socket

import pytest
from keyed import Keys, ask, header, serving, until
from test_gate import key_line, read_all
from test_incoming import filler
from web_tier import picture

from web_openstack import server
from web_openstack.incoming import Parser

GET = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
MANY = 200


@pytest.fixture
def keys():
    made = Keys()
    made.add("full")
    return made


@pytest.fixture
def web(make_web, keys):
    return make_web(ring=lambda: keys.ring, max_waits=4)


@pytest.fixture
def made(monkeypatch):
    """The servers that were made, of which there is one."""
    found, serve = [], server.Server.serve
    monkeypatch.setattr(server.Server, "serve", lambda one, *rest: (found.append(one), serve(one, *rest)))
    return found


@pytest.fixture
def port(web, made):
    with serving(web) as port:
        yield port
    assert web.deps.room.taken() == 0


def opened(port, data, **options):
    link = socket.socket()
    for name, value in options.items():
        link.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    link.settimeout(60)
    link.connect(("127.0.0.1", port))
    link.sendall(data)
    return link


def chunked(keys, data):
    lines = ["POST /v1/images HTTP/1.1", "Host: localhost", key_line(keys.secrets["full"]), "Content-Type: image/jpeg"]
    head = "\r\n".join([*lines, "Prefer: respond-async", "Transfer-Encoding: chunked", "", ""]).encode()
    return head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)


def test_each_is_answered_in_order_however_many_there_are(port, keys):
    data = picture("JPEG")
    with opened(port, GET * 20 + chunked(keys, data) + GET * 20 + LAST) as link:
        said = read_all_raw(link)
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", said)
    assert statuses == [b"200"] * 20 + [b"202"] + [b"200"] * 21


def read_all_raw(link):
    head, body = read_all(link)
    return head.encode() + body


def test_a_large_body_behind_a_request_is_taken_in_whole(port, keys, web):
    data = picture("JPEG")
    data = data[:2] + filler(1024**2) + data[2:]
    with opened(port, GET + chunked(keys, data) + LAST) as link:
        said = read_all_raw(link)
    assert re.findall(rb"HTTP/1.1 (\d+) ", said) == [b"200", b"202", b"200"]
    assert [value[0] for value in web.inputs.objects.values()] == [data]


def test_a_client_that_takes_no_answer_has_one_request_in_work_and_little_pending(port, made):
    with opened(port, GET * MANY, SO_RCVBUF=2048) as link:
        (running,) = made
        until(lambda: running.active_channels)
        (channel,) = running.active_channels.values()
        until(lambda: channel.total_outbufs_len)
        for _ in range(20):
            assert ask(port, "GET", "/healthz")[0] == 200
            assert len(channel.requests) <= 1
            assert channel.total_outbufs_len < 64 * 1024
        link.sendall(LAST)
        assert read_all_raw(link).count(b"HTTP/1.1 200") == MANY + 1


def test_while_one_waits_for_its_answer_those_behind_it_take_no_room_and_leave_nothing(port, keys, web):
    waiting = chunked(keys, picture("JPEG")).replace(b"respond-async", b"wait=30")
    with opened(port, waiting + chunked(keys, picture("JPEG")) * 100):
        until(web.taken)
        assert ask(port, "GET", "/v1/status", headers=header(keys.secrets["full"]))[0] == 200
        until(lambda: not web.deps.room.taken())
        assert len(web.taken()) == 1
    web.deps.drain()


def test_a_connection_that_breaks_anywhere_gives_its_room_back(port, keys, web, made):
    data = picture("JPEG")
    for sent in (GET * 50 + chunked(keys, data) * 50, chunked(keys, data) * 2 + chunked(keys, data)[:-10]):
        for _ in range(5):
            link = opened(port, sent)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            link.close()
    until(lambda: not made[0].active_channels and not web.deps.room.taken())


def test_what_comes_behind_is_not_looked_at_before(port, monkeypatch):
    begun = []
    received = Parser.received
    monkeypatch.setattr(Parser, "received", lambda one, data: (begun.append(one), received(one, data))[1])
    with opened(
        port, b"GET /v1/images/none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" + GET * MANY
    ) as link:
        assert read_all(link)[0].startswith("HTTP/1.1 401 ")
    assert len(begun) == 1
