"""A connection serves one call after the other, while it is in step with its server; if it is not, a new one does."""

import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from socket import SHUT_WR

import pytest
from cryptography import x509
from loopback import Replying, serving
from receivers import raw
from self_signed import certify

from skylens.clock import FakeClock
from skylens.errors import UnavailableError
from web_openstack.fetch import IDLE, LARGEST, TOTAL, HttpFetch


@contextmanager
def fetching(authorities="", clock=None):
    """One whose connections are closed in the end."""
    made = HttpFetch(authorities, (clock or FakeClock()).ticks)
    yield made
    for kept in made._idle:
        kept.stream.close()


class Server:
    """``/N`` answers with so many bytes. ``asked_from``: the port of each request; ``door``: what each enters first."""

    def __init__(self, tls=None):
        self.asked_from, self.tls, self.door = [], tls, nullcontext()

    @contextmanager
    def __call__(self):
        outer = self

        class Handler(Replying, BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.asked_from.append(self.client_address[1])
                with outer.door:
                    self.reply(200, b"x" * int(self.path[1:]))

        with serving(Handler, self.tls) as server:
            yield f"{'https' if self.tls else 'http'}://127.0.0.1:{server.server_port}"


@pytest.fixture
def server():
    return Server()


@pytest.fixture(params=["http", "https"])
def either(request, tmp_path):
    """A server, and who to trust about it."""
    if request.param == "http":
        return Server(), ""
    authority = tmp_path / "both.pem"
    certify(authority, x509.IPAddress(ip_address("127.0.0.1")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    return Server(context), str(authority)


def test_one_serves_many_calls_each_of_which_has_its_own_seconds_and_bytes(either):
    clock, (server, authority) = FakeClock(), either
    with server() as url, fetching(authority, clock) as fetch, ThreadPoolExecutor(1) as other:
        for _ in range(4):
            assert len(fetch(f"{url}/{LARGEST}").body) == LARGEST
            clock.sleep(TOTAL)
            assert len(other.submit(fetch, f"{url}/{LARGEST}").result().body) == LARGEST
    assert len(server.asked_from) == 8
    assert len(set(server.asked_from)) == 1


def test_another_server_is_asked_on_a_connection_of_its_own():
    one, two = Server(), Server()
    with one() as here, two() as there, fetching() as fetch:
        for url in (here, there, here, there):
            fetch(f"{url}/5")
    assert [len(one.asked_from), len(two.asked_from)] == [2, 2]
    assert [len(set(one.asked_from)), len(set(two.asked_from))] == [1, 1]


def test_so_many_are_kept_and_no_more(server):
    class Door(threading.Barrier):
        def __enter__(self):
            self.wait(60)

        def __exit__(self, *_):
            pass

    server.door = Door(IDLE + 2)
    with server() as url, fetching() as fetch, ThreadPoolExecutor(IDLE + 2) as threads:
        assert {answer.status for answer in threads.map(fetch, [f"{url}/5"] * (IDLE + 2))} == {200}
        assert len(set(server.asked_from)) == IDLE + 2
        assert len(fetch._idle) == IDLE


def test_one_that_the_server_closed_though_it_promised_to_keep_it_is_not_used_again():
    closed = threading.Semaphore(0)

    def once(connection):
        connection.sendall(said(b"a"))
        connection.shutdown(SHUT_WR)
        closed.release()

    with raw(once) as port, fetching() as fetch:
        for _ in range(3):
            assert fetch(f"http://127.0.0.1:{port}/").body == b"a"
            assert closed.acquire(timeout=60)
        assert len(fetch._idle) == 1


def test_an_answer_that_is_left_early_takes_its_connection_with_it(server):
    with server() as url, fetching() as fetch:
        for _ in range(2):
            with pytest.raises(UnavailableError, match="more than"):
                fetch(f"{url}/{100 * LARGEST}")
            assert not fetch._idle
            assert fetch(f"{url}/5").body == b"xxxxx"
            fetch._idle.pop().stream.close()
    assert len(set(server.asked_from)) == 4


@pytest.mark.parametrize("tail", [b"\r\n", b"evil", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])
def test_what_comes_behind_an_answer_is_not_the_next_answer(tail):
    def answers(connection):
        connection.sendall(said(b"a") + tail)
        connection.recv(65536)
        connection.sendall(said(b"b") + tail)

    with raw(answers) as port, fetching() as fetch:
        assert [fetch(f"http://127.0.0.1:{port}/").body for _ in range(2)] == [b"a", b"b"]


def test_what_comes_while_nobody_asked_is_no_answer_either():
    bodies, heard, spoken = iter([b"a", b"b"]), threading.Event(), threading.Event()

    def answers(connection):
        connection.sendall(said(next(bodies)))
        heard.wait(60)
        connection.sendall(said(b"evil"))
        spoken.set()
        connection.recv(65536)

    with raw(answers) as port, fetching() as fetch:
        assert fetch(f"http://127.0.0.1:{port}/").body == b"a"
        heard.set()
        assert spoken.wait(60)
        assert fetch(f"http://127.0.0.1:{port}/").body == b"b"


def said(body):
    return b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
