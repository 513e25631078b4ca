"""The proxy's configuration, in a real Caddy before a scripted web tier on loopback."""

import contextlib
import json
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from port_suite import until
from rendered import need, render
from service_manager import ServiceManager

from skylens.settings import WebSettings
from web_openstack.server import connections

PATIENCE = 60.0
BACKEND = Path(__file__).with_name("scripted_backend.py")
SCRAPER = "127.0.0.2"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


class Proxied:
    """Caddy and what it stands before."""

    def __init__(self, folder, manager):
        self.folder, self.manager = folder, manager
        self.port, self.caddy, self.backend = free_port(), None, None
        self.public = manager.listen("public")

    def start_backend(self, times):
        self.backend = self.manager.start([sys.executable, BACKEND], {"PATH": os.environ["PATH"], "PYTHONPATH": "."})
        self.manager.wait_for("READY=1", times)

    def stop_backend(self):
        self.backend.terminate()
        assert self.backend.wait(PATIENCE) == 0

    @property
    def tls(self):
        return ssl.create_default_context(cafile=self.folder / "tls.pem")

    def connect(self, *protocols):
        """A connection on which nothing was said yet, after a handshake that offered these protocols."""
        tls = self.tls
        tls.set_alpn_protocols(protocols)
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return tls.wrap_socket(raw, server_hostname="localhost")

    def ask(self, path, method="GET", body=None, source="127.0.0.1"):
        """The status, headers and body of one request on a connection of its own."""
        tls = self.tls
        with contextlib.closing(
            HTTPSConnection("localhost", self.port, timeout=PATIENCE, context=tls, source_address=(source, 0))
        ) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()


def write_certificate(folder):
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "tls-key.pem"]
    made = [need("openssl"), "req", "-x509", "-days", "2", *key, "-out", folder / "tls.pem", *subject]
    subprocess.run(made, check=True, capture_output=True)


def write_configuration(folder, port, public, scaler, **settings):
    """The proxy's own configuration, at other ports and with files of this folder."""
    ports = {"skylens_https_port": port, "skylens_public_port": public, "skylens_internal_port": public}
    ports["skylens_scaler_metrics_port"] = scaler
    render(folder, "proxy", {"Caddyfile": ("Caddyfile.j2", None)}, **ports, **settings)
    path = folder / "Caddyfile"
    path.write_text(path.read_text().replace("/etc/caddy/", f"{folder}/").replace("/run/caddy/", f"{folder}/"))
    return path


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    caddy, folder = need("caddy"), tmp_path_factory.mktemp("proxy")
    write_certificate(folder)
    with ServiceManager(folder) as manager:
        made = Proxied(folder, manager)
        metrics = ["127.0.0.2/32"]
        path = write_configuration(folder, made.port, made.public, made.public, skylens_metrics_networks=metrics)
        path.write_text(re.sub(r"\bidle \d+s", "idle 200ms", path.read_text()))  # less than an answer of /slow takes
        made.start_backend(1)
        environ = {"HOME": str(folder), "PATH": os.environ["PATH"], **manager.environ}
        with (folder / "caddy.log").open("wb") as log:
            command = [caddy, "run", "--config", path, "--adapter", "caddyfile"]
            made.caddy = running = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        try:
            manager.wait_for("READY=1", 2)
            yield made
        finally:
            running.terminate()
            running.wait(PATIENCE)
            made.backend.kill()
            made.backend.wait(PATIENCE)


@pytest.mark.parametrize("tls", ["internal", "acme"])
def test_caddy_takes_the_configuration(tmp_path, tls):
    caddy = need("caddy")
    write_certificate(tmp_path)
    settings = {"skylens_tls": tls, "skylens_hostname": "sky.example", "skylens_acme_email": "ops@sky.example"}
    path = write_configuration(tmp_path, 443, 8080, 8082, **settings)
    done = subprocess.run(
        [caddy, "validate", "--adapter", "caddyfile", "--config", path],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    adapted = json.loads(subprocess.check_output([caddy, "adapt", "--config", path], stderr=subprocess.DEVNULL))
    servers = adapted["apps"]["http"]["servers"].values()
    assert {one["listen"][0] for one in servers} == {":443", *([":80"] if tls == "acme" else [])}
    assert all(one["read_header_timeout"] and one["idle_timeout"] for one in servers)
    assert all(one["automatic_https"].get("disable") or one["automatic_https"]["disable_redirects"] for one in servers)
    formatted = subprocess.check_output([caddy, "fmt", path], text=True)
    assert formatted == path.read_text()


def test_the_longest_wait_ends_before_the_proxy_does(tmp_path):
    waits = {"plain_wait_seconds": 4000, "max_wait_seconds": 100}
    text = write_configuration(tmp_path, 443, 8080, 8082, skylens_web_settings=waits).read_text()
    limits = re.findall(r"(?:read_body|write|response_header_timeout) (\d+)s", text)
    assert len(limits) == 3
    assert all(int(limit) > 4000 for limit in limits)


def test_a_request_arrives_as_it_was_sent_and_its_client_is_known(proxied):
    status, headers, body = proxied.ask("/v1/images", "POST", b"x" * 200_000, source="127.0.0.3")
    assert status == 200
    assert json.loads(body) == {"path": "/v1/images", "bytes": 200_000, "scheme": "https", "client": "127.0.0.3"}
    assert "Server" not in headers
    assert headers["Strict-Transport-Security"] == "max-age=31536000"


def test_no_client_gets_http2(proxied):
    with proxied.connect("h2", "http/1.1") as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        proxied.connect("h2")


def test_an_idle_connection_is_closed_and_who_waits_for_an_answer_is_not_idle(proxied):
    with proxied.connect("http/1.1") as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["path"] == "/slow"


def test_the_web_tier_sees_that_a_client_has_left(proxied):
    with proxied.connect("http/1.1") as connection:
        connection.sendall(b"GET /left HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert proxied.ask("/came")[0] == 200
    assert json.loads(proxied.ask("/seen")[2])["left"] is True


def whole(connection):
    """What came, and whether the connection ended thereafter."""
    said = b""
    with contextlib.suppress(TimeoutError):
        while some := connection.recv(65536):
            said += some
        return said, True
    return said, False


UNSENT = ("Content-Length: 200000", "Transfer-Encoding: chunked")


@pytest.mark.parametrize("length", UNSENT)
@pytest.mark.parametrize(("path", "status"), [("/v1/images", 401), ("/internal/demand", 401), ("/metrics", 401)])
def test_who_is_refused_and_sends_no_body_is_told_and_holds_no_connection(proxied, path, status, length):
    """Nearly always: once in thirty times Go has begun to read the body when it is refused, and waits for it."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n{length}\r\n\r\n"
    with contextlib.ExitStack() as links, ThreadPoolExecutor(12) as pool:
        crowd = [links.enter_context(proxied.connect("http/1.1")) for _ in range(12)]
        for connection in crowd:
            connection.settimeout(15)
            connection.sendall(head.encode())
        said = list(pool.map(whole, crowd))
    assert {text[:13].decode() for text, _ in said} == {f"HTTP/1.1 {status} "}
    assert sum(over for _, over in said) >= 6


def test_what_is_answered_bit_by_bit_arrives_so(proxied):
    with proxied.connect("http/1.1") as connection:
        connection.sendall(b"GET /bits HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = b""
        while b"first" not in said:
            said += connection.recv(65536)
        assert b"second" not in said
        assert proxied.ask("/go-on")[0] == 200
        while b"second" not in said:
            said += connection.recv(65536)


def test_more_clients_than_it_may_have_are_not_its_end(proxied):
    soft, hard = resource.prlimit(proxied.caddy.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(proxied.caddy.pid, resource.RLIMIT_NOFILE, (32, hard))
    crowd = [socket.create_connection(("127.0.0.1", proxied.port), timeout=PATIENCE) for _ in range(100)]
    until(lambda: len(list(Path(f"/proc/{proxied.caddy.pid}/fd").iterdir())) >= 32)
    for one in crowd:
        one.close()
    assert proxied.ask("/v1/images")[0] == 200
    resource.prlimit(proxied.caddy.pid, resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("waits", [None, 1, 8192])
def test_every_connection_of_the_web_tier_has_its_two_in_the_proxy(tmp_path, waits):
    settings = {} if waits is None else {"max_waits": waits}
    render(tmp_path, "proxy", {"caddy.conf": ("caddy.conf.j2", None)}, skylens_web_settings=settings)
    (limit,) = re.findall(r"^LimitNOFILE=(\d+)$", (tmp_path / "caddy.conf").read_text(), re.MULTILINE)
    served = connections(WebSettings.model_fields["max_waits"].default if waits is None else waits)
    assert 0 < int(limit) - 2 * served <= 100


REFUSED = (
    *("/metrics", "/metrics/", "/METRICS", "//metrics", "/%6detrics", "/metrics/scaler", "/x/../metrics"),
    *("/internal", "/internal/demand", "/Internal/fleet", "//internal/demand", "/%69nternal/demand"),
)


@pytest.mark.parametrize("path", REFUSED)
def test_what_is_not_for_clients_is_refused(proxied, path):
    assert proxied.ask(path)[0] == 404


def test_a_scraper_reads_the_metrics_of_both_tiers(proxied):
    for path in ("/metrics", "/metrics/scaler"):
        status, _, body = proxied.ask(path, source=SCRAPER)
        assert (status, json.loads(body)["path"]) == (200, "/metrics")
    assert proxied.ask("/metrics/other", source=SCRAPER)[0] == 404
    assert proxied.ask("/internal/demand", source=SCRAPER)[0] == 404


def test_a_body_larger_than_any_allowed_is_refused_by_the_proxy_itself(tmp_path):
    text = write_configuration(
        tmp_path, 443, 8080, 8082, skylens_web_settings={"max_body_bytes": 5_000_000}
    ).read_text()
    assert int(re.findall(r"max_size (\d+)", text)[0]) > 5_000_000


def test_no_request_is_lost_while_the_web_tier_is_restarted(proxied):
    answers, over = [], threading.Event()

    def load(number):
        while not over.is_set():
            path = "/slow" if number % 2 else "/v1/images"
            try:
                answers.append(proxied.ask(path, "POST", b"y" * 5000)[0])
            except OSError as error:
                answers.append(repr(error))

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for times in (3, 4, 5):
        before = len(answers)
        proxied.stop_backend()
        proxied.start_backend(times)
        deadline = time.monotonic() + PATIENCE
        while len(answers) < before + 20 and time.monotonic() < deadline:
            over.wait(0.05)
        assert len(answers) >= before + 20
    over.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {200}
