"""Clients that send or read a byte now and then lose their place in bounded time; good ones are served meanwhile."""

import socket
import threading
from contextlib import suppress

import pytest
from test_batches import post
from test_server import ask, until
from web_tier import picture

from web_openstack import server
from web_openstack.pace import RATE, Pace

PNG = {"Content-Type": "image/png", "Prefer": "respond-async"}
SLOW = 200
PATIENCE = 2
"""Seconds, in place of the minute that a real server has."""
HEAD = b"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
BEGINNINGS = [
    b"",
    b"POST /v1/",
    HEAD,
    HEAD + b"Content-Length: 100000\r\n\r\n\x89PNG",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    HEAD + b"Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /v1/images HTTP/1.1\r\n",
]
"""Each is followed by more of what a byte may be: a header's name, a chunk's size, a body."""


def hasty(made):
    """Let a server lose patience, and look, much sooner."""
    made.adj.channel_timeout, made.adj.cleanup_interval, made.next_channel_cleanup = PATIENCE, 0.1, 0
    return made


class Dribblers(threading.Thread):
    """Sends one byte on each connection every tenth of a second until the server has closed them all."""

    def __init__(self, made, count):
        super().__init__(daemon=True)
        self.address, self.cut, self.halt = ("127.0.0.1", int(made.effective_port)), 0, threading.Event()
        self.links = []
        for number in range(count):
            link = socket.create_connection(self.address, timeout=30)
            link.settimeout(0)
            with suppress(BlockingIOError):
                link.send(BEGINNINGS[number % len(BEGINNINGS)])
            self.links.append(link)

    def run(self):
        while self.links and not self.halt.wait(0.1):
            self.links = [link for link in self.links if self.lives(link)]

    def lives(self, link):
        try:
            with suppress(BlockingIOError):
                while link.recv(65536):
                    pass
                raise ConnectionResetError
            link.send(b"1")
        except BlockingIOError:
            return True
        except OSError:
            link.close()
            self.cut += 1
            return False
        return True


@pytest.fixture
def dribble():
    running = []

    def start(made, count):
        running.append(Dribblers(made, count))
        running[-1].start()
        return running[-1]

    yield start
    for one in running:
        one.halt.set()
        one.join()
        for link in one.links:
            link.close()


def test_two_hundred_dribbling_clients_keep_nobody_out_and_lose_their_places(make_web, serve, dribble):
    made, _ = serve(make_web(max_waits=4))
    slow = dribble(hasty(made), SLOW)
    served = 0
    while slow.is_alive():
        assert ask(made, "POST", "/v1/images", picture(), PNG)[0] == 202
        served += 1
        assert served < 10_000, f"{SLOW - slow.cut} clients may dribble for ever"
    assert (slow.cut, bool(served)) == (SLOW, True)


@pytest.mark.parametrize("beginning", BEGINNINGS[3:7])
def test_whose_body_comes_too_slowly_is_told_so(web, serve, beginning):
    """Else a proxy would go on waiting for the rest of it."""
    made, _ = serve(web)
    with socket.create_connection(("127.0.0.1", int(hasty(made).effective_port)), timeout=60) as link:
        link.sendall(beginning)
        said = b"".join(iter(lambda: link.recv(65536), b"")).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"too-slow"' in said
    until(lambda: not made.active_channels)
    assert not web.inputs.objects


def test_at_the_limit_of_connections_a_client_waits_until_slow_ones_lose_their_places(make_web, serve, dribble):
    made, _ = serve(make_web(max_waits=1))
    made.adj.connection_limit = 50
    slow = dribble(hasty(made), 60)
    until(lambda: made.in_connection_overflow or not slow.is_alive())
    assert ask(made, "GET", "/healthz")[0] == 200
    slow.join(60)
    assert slow.cut == 60
    assert not made.in_connection_overflow


def test_clients_that_read_a_little_now_and_then_lose_their_places(web, serve):
    made, _ = serve(web)
    made.adj.socket_options = [(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)]
    links = []
    for _ in range(20):
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.settimeout(30)
        link.connect(("127.0.0.1", int(made.effective_port)))
        link.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
        links.append(link)

    def all_are_cut():
        assert ask(made, "GET", "/healthz")[0] == 200
        for link in links:
            with suppress(OSError):
                link.recv(20)
        return not [channel for channel in made.active_channels.values() if channel.total_outbufs_len]

    until(lambda: len(made.active_channels) == len(links))
    hasty(made)
    until(all_are_cut)
    for link in links:
        link.close()


@pytest.fixture
def deaf(serve):
    """Starts a server, and clients that send what they are given and take no answer, ever."""
    links = []

    def start(web, sent):
        made, _ = serve(web)
        made.adj.socket_options = [(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)]
        made.adj.outbuf_high_watermark = 4096
        for _ in range(4):
            link = socket.socket()
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.connect(("127.0.0.1", int(made.effective_port)))
            link.sendall(sent)
            links.append(link)
        until(lambda: sum(bool(one.total_outbufs_len) for one in made.active_channels.values()) == len(links))
        return made

    yield start
    for link in links:
        link.close()


def test_clients_that_take_nothing_at_all_lose_their_places(web, deaf):
    made = deaf(web, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
    hasty(made)
    until(lambda: not made.active_channels)
    assert ask(made, "GET", "/healthz")[0] == 200


def test_of_answers_that_nobody_takes_the_oldest_are_given_up_once_they_are_too_much(web, deaf, monkeypatch):
    made = deaf(web, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    old, new = sorted(made.active_channels.values(), key=lambda channel: channel.unread_since)[:2]
    most = sum(channel.total_outbufs_len for channel in made.active_channels.values())
    monkeypatch.setattr(server, "ALL_UNREAD", most - 1)
    until(lambda: old not in made.active_channels.values())
    assert new in made.active_channels.values()
    monkeypatch.setattr(server, "ALL_UNREAD", 0)
    until(lambda: not made.active_channels)
    assert ask(made, "GET", "/healthz")[0] == 200


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_who_takes_no_answer_of_a_batch_gives_its_places_back(make_web, deaf, kind):
    web = make_web(max_waits=4)
    answer = post(web, *[("f", f"{n:0200}.png", picture()) for n in range(200)])
    for request in web.taken():
        web.reply(request)
    place = answer.headers["Location"]
    made = deaf(web, f"GET {place}?wait=60 HTTP/1.1\r\nHost: localhost\r\nAccept: {kind}\r\n\r\n".encode())
    assert web.deps.answers._readers._all == 4
    hasty(made)
    until(lambda: not made.active_channels and not web.deps.answers._readers._all)
    assert not web.deps.admission._slots._all


def test_time_is_paid_for_with_bytes():
    assert not Pace(100.0).is_late(160.0, 60)
    assert Pace(100.0).is_late(160.1, 60)
    assert not Pace(100.0, moved=10 * RATE).is_late(170.0, 60)
    assert Pace(100.0, moved=10 * RATE).is_late(170.1, 60)
