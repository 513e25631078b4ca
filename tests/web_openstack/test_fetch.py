"""A document comes whole, small and soon, over TLS or from this machine, from where it was asked for; or not at all."""

import itertools
import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address

import httpcore2 as httpcore
import pytest
from cryptography import x509
from loopback import Replying, serving
from receivers import raw
from self_signed import certify

from skylens.clock import FakeClock
from skylens.errors import SettingsError, UnavailableError
from web_openstack import fetch
from web_openstack.fetch import LARGEST, HttpFetch

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"


class Handler(Replying, BaseHTTPRequestHandler):
    """``/N``: so many bytes; ``/moved``: elsewhere; ``/cut``: less than it says; ``/mine``: what was asked with."""

    def do_GET(self):
        if self.path == "/moved":
            return self.reply(302, b"", {"Location": "/5"})
        if self.path.startswith("/mine"):
            return self.reply(200, f"{self.requestline}\n{self.headers}".encode())
        if self.path == "/cut":
            return self.reply(200, b"x", {"Content-Length": "10"})
        return self.reply(200, b"x" * int(self.path[1:]))


@pytest.fixture
def url():
    with serving(Handler) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("size", [0, 5, LARGEST])
def test_a_document_comes_whole(url, size):
    assert HttpFetch("")(f"{url}/{size}") == (200, b"x" * size)


def test_one_that_is_too_large_is_not_read_to_its_end(url):
    with pytest.raises(UnavailableError, match=f"more than {LARGEST} bytes"):
        HttpFetch("")(f"{url}/{LARGEST + 1}")


def test_a_redirection_is_not_followed(url):
    assert HttpFetch("")(f"{url}/moved").status == 302


def test_one_that_is_cut_short_is_none(url):
    with pytest.raises(UnavailableError, match="does not answer"):
        HttpFetch("")(f"{url}/cut")


def test_headers_are_sent_and_no_proxy_is_asked(url, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    said = HttpFetch("")(f"{url}/mine", {"X-Auth-Token": "t"}).body.decode()
    assert "X-Auth-Token: t" in said
    assert "Accept: application/json" in said
    assert f"Host: {url.removeprefix('http://')}" in said


def test_what_no_url_may_hold_is_quoted_and_the_rest_goes_as_it_is(url):
    said = HttpFetch("")(f"{url}/mine/ü;a=%2F b?c=d;e=ü#f").body.decode()
    assert said.startswith("GET /mine/%C3%BC;a=%2F%20b?c=d;e=%C3%BC HTTP/1.1\n")


def test_a_host_that_is_an_ipv6_address_is_named_in_brackets(url, monkeypatch):
    look_up, port = socket.getaddrinfo, url.rpartition(":")[2]
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *rest, **named: look_up("127.0.0.1", *rest, **named))
    assert f"Host: [::1]:{port}" in HttpFetch("")(f"http://[::1]:{port}/mine").body.decode()


@pytest.mark.parametrize(
    "url", ["http://192.0.2.7/", "http://127.0.0.1.evil.example/", "https://user@host/", "ftp://127.0.0.1/", "", "x\n"]
)
def test_elsewhere_than_over_tls_or_on_this_machine_nothing_is_asked(url):
    with pytest.raises(UnavailableError, match="is neither https:// nor http:// on this machine"):
        HttpFetch("")(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://127.0.0.1:99999/", "https://127.0.0.1:1/", "https://a..b/"]
)
def test_where_nobody_listens_the_error_says_so(url):
    with pytest.raises(UnavailableError, match="does not answer"):
        HttpFetch("")(url)


def test_who_takes_the_connection_and_says_nothing_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(fetch, "TOTAL", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UnavailableError, match="does not answer"):
        HttpFetch("")(f"http://127.0.0.1:{silent.getsockname()[1]}/")


@pytest.mark.parametrize(
    ("start", "more"),
    [(b"", b"H"), (HEAD, b"x"), (HEAD + b"\r\n", b"x"), (CHUNKED, b"1\r\nx\r\n"), (CHUNKED, b"1"), (b"", INTERIM)],
    ids=["status", "header", "body", "chunks", "size", "interim"],
)
def test_who_sends_byte_by_byte_is_left_after_ten_seconds(start, more):
    seconds, looks = itertools.count(), threading.Semaphore(0)

    def look():
        looks.release()
        return next(seconds)

    def dribbles(connection):
        connection.sendall(start)
        while looks.acquire(timeout=60):  # a byte for each look at the clock
            connection.sendall(more)

    with raw(dribbles) as port:
        with pytest.raises(UnavailableError, match="does not answer: ReadTimeout: no answer within 10 s"):
            HttpFetch("", look)(f"http://127.0.0.1:{port}/")
        for _ in range(100):  # until it finds the connection closed
            looks.release()


def test_who_does_so_before_tls_begins_is_left_as_well(monkeypatch):
    monkeypatch.setattr(fetch, "TOTAL", 0.1)

    def dribbles(connection):
        connection.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB, of which there will be a byte now and then
        while not threading.Event().wait(0.01):
            connection.sendall(b"\x02")

    with raw(dribbles) as port, pytest.raises(UnavailableError, match=r"does not answer: \w+Timeout"):
        HttpFetch("")(f"https://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("start", "more", "trouble"),
    [
        (b"", INTERIM * 100, "ReadError: an answer without an end"),
        (CHUNKED, b"1;" + b"e" * 5000 + b"\r\nx\r\n", "ReadError: an answer without an end"),
        (CHUNKED + b"0\r\n", b"X: y\r\n" * 100, "RemoteProtocolError: Receive buffer too long"),
    ],
    ids=["interim answers", "sizes of chunks", "trailers"],
)
def test_who_sends_something_else_than_a_document_without_end_is_left_after_so_many_bytes(start, more, trouble):
    def pours(connection):
        connection.sendall(start)
        while True:
            connection.sendall(more)

    with raw(pours) as port, pytest.raises(UnavailableError, match=f"does not answer: {trouble}"):
        HttpFetch("", lambda: 0.0)(f"http://127.0.0.1:{port}/")  # no time passes


def test_a_name_with_many_addresses_where_nobody_answers_is_left_after_ten_seconds(monkeypatch):
    clock, tried = FakeClock(), []

    def connect(_, address, port, timeout, *rest):
        tried.append(address)
        clock.sleep(timeout)
        raise httpcore.ConnectTimeout

    many = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{number}", 443)) for number in range(100)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: many)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    with pytest.raises(UnavailableError, match="does not answer: ReadTimeout: no answer within 10 s"):
        HttpFetch("", clock.ticks)("https://many.example/")
    assert tried == ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3"]  # 3 s each, and one for the last


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200",
        b"220 smtp ready\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000,
    ],
)
def test_who_babbles_does_not_answer(said):
    with raw(lambda connection: connection.sendall(said)) as port, pytest.raises(UnavailableError, match="not answer"):
        HttpFetch("")(f"http://127.0.0.1:{port}/")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A file with a certificate for 127.0.0.1 that signed itself, and its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    certify(path, x509.IPAddress(ip_address("127.0.0.1")))
    return str(path)


@contextmanager
def over_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    with serving(Handler, context) as server:
        yield server.server_port


def test_certificates_are_checked_against_the_systems_and_those_of_the_setting(authority):
    with over_tls(authority) as port:
        assert HttpFetch(authority)(f"https://127.0.0.1:{port}/5").body == b"xxxxx"
        with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            HttpFetch("")(f"https://127.0.0.1:{port}/5")
        with pytest.raises(UnavailableError, match="mismatch"):
            HttpFetch(authority)(f"https://localhost:{port}/5")


@pytest.mark.parametrize(
    "content", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"]
)
def test_a_file_without_certificates_refuses_to_start_and_names_the_setting(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"SKYLENS_TOKENS_CA=.* cannot be read: .*; name a file of certificates"):
        HttpFetch(str(path))
