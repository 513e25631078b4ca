"""A document comes whole, small and soon, over TLS or from this machine, from where it was asked for; or not at all."""

import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address

import pytest
from cryptography import x509
from loopback import Replying, serving
from self_signed import certify

from skylens.clock import FakeClock
from skylens.errors import SettingsError, UnavailableError
from web_openstack import fetch
from web_openstack.fetch import LARGEST, HttpFetch


class Handler(Replying, BaseHTTPRequestHandler):
    """``/N``: so many bytes; ``/moved``: elsewhere; ``/cut``: less than it says; ``/mine``: what was asked with."""

    def do_GET(self):
        if self.path == "/moved":
            return self.reply(302, b"", {"Location": "/5"})
        if self.path == "/mine":
            return self.reply(200, str(self.headers).encode())
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


def test_who_sends_byte_by_byte_is_left_after_ten_seconds():
    clock, left = FakeClock(), threading.Event()

    class Dribbles(Replying, BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(LARGEST))
            self.end_headers()
            clock.sleep(fetch.TOTAL)
            self.wfile.write(b"x")
            left.wait(60)

    with serving(Dribbles) as server:
        with pytest.raises(UnavailableError, match="answers for longer than 10 s"):
            HttpFetch("", clock.ticks)(f"http://127.0.0.1:{server.server_port}/")
        left.set()


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
