"""One POST to a receiver that may be anything: a good one, a slow one, one that lies about where it is."""

import itertools
import ssl
import threading
from ipaddress import ip_network

import httpcore2 as httpcore
import pytest
from receivers import Receiver, certified, raw

from skylens.bounded_stream import resolve
from skylens.clock import Clock
from web_openstack.webhooks.post import MOST, Post, UndeliveredError
from web_openstack.webhooks.target import Rules, Target

LOOPBACK = Rules((ip_network("127.0.0.0/8"), ip_network("::1/128")), plain=True)
BODY = b'{"type":"image.done"}'


def hurried(seconds):
    """A clock on which each look is so many seconds after the one before."""
    ticks = itertools.count()
    return Clock(ticks=lambda: next(ticks) * seconds)


def send(port, *, rules=LOOPBACK, clock=None, lookup=resolve, host="127.0.0.1", scheme="http", tls=None):
    tls = tls or ssl.create_default_context()
    return Post(rules, clock or Clock(), tls, lookup)(
        Target(scheme, host, port, "/hook?a=1"), {"webhook-id": "x"}, BODY
    )


def test_the_event_comes_with_its_headers_to_its_host():
    with Receiver(204) as receiver:
        assert send(receiver.port, host="receiver.lab", lookup=lambda *_: ["127.0.0.1"]) == 204
    ((headers, body),) = receiver.got
    assert body == BODY
    assert headers["webhook-id"] == "x"
    assert headers["Host"] == f"receiver.lab:{receiver.port}"
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Length"] == str(len(BODY))


@pytest.mark.parametrize("status", [200, 201, 301, 302, 307, 308, 400, 410, 429, 500, 503])
def test_any_status_is_told_and_no_redirect_is_followed(status):
    with Receiver(status) as receiver, Receiver(200) as elsewhere:
        receiver.headers = {"Location": elsewhere.url, "Content-Length": "0"}
        assert send(receiver.port) == status
    assert elsewhere.got == []
    assert len(receiver.got) == 1


def test_no_proxy_of_the_environment_is_asked(monkeypatch):
    with Receiver(204) as receiver, Receiver(200) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert send(receiver.port) == 204
    assert proxy.got == []


def test_nobody_listens():
    with raw(lambda _: None) as port:
        pass
    with pytest.raises(UndeliveredError, match="ConnectError"):
        send(port)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Type: text",
        b"220 smtp ready\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 300_000,
    ],
)
def test_a_receiver_that_dies_or_babbles_before_its_answer_has_not_taken_it(said):
    with raw(lambda connection: connection.sendall(said)) as port, pytest.raises(UndeliveredError):
        send(port)


def test_a_receiver_that_dies_in_its_answers_body_has_taken_it():
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"
    with raw(lambda connection: connection.sendall(said)) as port:
        assert send(port) == 200


def test_a_body_without_end_is_not_read():
    def pours(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"a" * 65536)

    with raw(pours) as port:
        assert send(port) == 200


def test_a_receiver_that_hangs_is_left_at_the_deadline():
    halt = threading.Event()
    with raw(lambda _: halt.wait(60)) as port:
        with pytest.raises(UndeliveredError, match="Timeout"):
            send(port, clock=hurried(4.9))
        halt.set()


def test_one_that_dribbles_is_left_at_the_deadline_as_well():
    seconds, looks = itertools.count(), threading.Semaphore(0)

    def look():
        looks.release()
        return next(seconds)

    def dribbles(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while looks.acquire(timeout=60):  # a line for each look at the clock
            connection.sendall(b"X: 1\r\n")

    with raw(dribbles) as port:
        with pytest.raises(UndeliveredError, match="no answer within 15 s"):
            send(port, clock=Clock(ticks=look))
        for _ in range(100):  # until it finds the connection closed
            looks.release()


def test_one_that_sends_interim_answers_without_end_is_left_after_so_many_bytes():
    sent = []

    def babbles(connection):
        while True:
            sent.append(connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100))

    with raw(babbles) as port, pytest.raises(UndeliveredError, match="an answer without an end"):
        send(port, clock=Clock(ticks=lambda: 0.0))  # no time passes
    assert sum(sent) >= MOST


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "169.254.169.254", "127.0.0.1", "::1", "fe80::1%2", "::ffff:127.0.0.1"]
)
def test_a_name_that_leads_inside_is_not_connected_to(address):
    with Receiver(200) as receiver, pytest.raises(UndeliveredError, match="not an address that webhooks may go to"):
        send(receiver.port, rules=Rules(), lookup=lambda *_: [address], host="evil.example", scheme="https")
    assert receiver.got == []


def test_one_bad_address_spoils_the_good_ones():
    with Receiver(200) as receiver, pytest.raises(UndeliveredError, match=r"169\.254\.169\.254"):
        send(receiver.port, lookup=lambda *_: ["127.0.0.1", "169.254.169.254"])
    assert receiver.got == []


def test_the_name_is_looked_up_once_and_the_connection_goes_to_what_was_checked():
    """A resolver that says something harmless first and something else then."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["10.0.0.1"]])
    with Receiver(204) as receiver:
        assert send(receiver.port, lookup=lambda *_: next(answers), host="rebinding.example") == 204
    assert len(receiver.got) == 1
    assert next(answers) == ["10.0.0.1"]


def test_a_dead_address_is_followed_by_the_next():
    with Receiver(204) as receiver:
        assert send(receiver.port, lookup=lambda *_: ["127.99.99.99", "127.0.0.1"]) == 204


@pytest.mark.parametrize("found", [[], OSError("no such name"), UnicodeError("label too long")])
def test_a_name_without_address_is_no_crash(found):
    def lookup(*_):
        if isinstance(found, Exception):
            raise found
        return found

    with pytest.raises(UndeliveredError, match="the host's name"):
        send(443, lookup=lookup)


def test_the_systems_resolver_gives_each_address_once():
    assert resolve("127.0.0.1", 443) == ["127.0.0.1"]
    with pytest.raises(OSError, match=r"."):
        resolve("no-such-host.invalid", 443)


def test_a_certificate_is_for_the_name_that_was_given(tmp_path):
    server, client = certified(tmp_path, "receiver.example")
    with Receiver(204) as receiver:
        receiver.wrap(server)
        sent = {"lookup": lambda *_: ["127.0.0.1"], "scheme": "https", "tls": client}
        assert send(receiver.port, host="receiver.example", **sent) == 204
        with pytest.raises(UndeliveredError, match="CERTIFICATE_VERIFY_FAILED"):
            send(receiver.port, host="other.example", **sent)
        with pytest.raises(UndeliveredError, match="CERTIFICATE_VERIFY_FAILED"):
            send(receiver.port, host="receiver.example", **sent | {"tls": ssl.create_default_context()})
    assert len(receiver.got) == 1


def test_every_error_of_the_library_is_one_that_is_met():
    met = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
    rest = {"UnsupportedProtocol", "ProxyError", "ConnectionNotAvailable"}
    for name in dir(httpcore):
        kind = getattr(httpcore, name)
        if isinstance(kind, type) and issubclass(kind, Exception) and name not in rest:
            assert issubclass(kind, met), name
