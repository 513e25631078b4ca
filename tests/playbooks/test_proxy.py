"""The proxy's configuration, in a real HAProxy before a scripted web tier on loopback."""

import base64
import contextlib
import json
import re
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection

import pytest
import yaml
from playbook import PLAYBOOKS, run
from port_suite import until
from real_proxy import PATIENCE, Proxied, free_port, running, write_certificate, write_configuration
from rendered import ROLES, need
from service_manager import ServiceManager

from skylens.settings import WebSettings
from web_openstack.server import connections

SCRAPER = "127.0.0.2"
MOST = 40
"""Connections of an address, in these tests."""


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proxy")
    write_certificate(folder)
    with ServiceManager(folder) as manager:
        made, public = Proxied(folder, manager), manager.listen("public")
        made.public = public
        path = write_configuration(folder, made.port, public, public, skylens_metrics_networks=["127.0.0.2/32"])
        made.start_backend()
        with running(folder, path, manager) as made.haproxy:
            yield made
        made.backend.kill()
        made.backend.wait(PATIENCE)


@contextlib.contextmanager
def another(folder, proxied, change=str, **settings):
    """Another proxy before the same web tier, of a configuration whose text was changed so."""
    write_certificate(folder)
    made = Proxied(folder, proxied.manager)
    path = write_configuration(folder, made.port, proxied.public, proxied.public, **settings)
    path.write_text(change(path.read_text()))
    with running(folder, path, proxied.manager):
        yield made


@pytest.fixture(scope="module")
def hasty(tmp_path_factory, proxied):
    """Its clients have two seconds, where they have fifteen or thirty."""

    def haste(text):
        return re.sub(r"(http-request|http-keep-alive|client) \d+s", r"\1 2s", text)

    with another(tmp_path_factory.mktemp("hasty"), proxied, haste) as made:
        yield made


@pytest.fixture(scope="module")
def crowded(tmp_path_factory, proxied):
    """It keeps few connections of an address."""
    with another(tmp_path_factory.mktemp("crowded"), proxied, skylens_address_connections=MOST) as made:
        yield made


@pytest.mark.parametrize("settings", [{}, {"skylens_tls": "acme"}, {"skylens_metrics_networks": ["10.0.0.0/8"]}])
@pytest.mark.parametrize("ipv6", [True, False])
def test_haproxy_takes_the_configuration(tmp_path, settings, ipv6):
    write_certificate(tmp_path)
    found = {"web_host_found": {"stdout_lines": ["python 3.11", *(["ipv6"] if ipv6 else [])]}}
    settings = {"skylens_hostname": "sky.example", "skylens_acme_email": "ops@sky.example", **found, **settings}
    path = write_configuration(tmp_path, 443, 8080, 8082, **settings)
    done = subprocess.run([need("haproxy"), "-c", "-f", path], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall(r"tune\.(?:snd|rcv)buf\.(?:client|server) 65536", path.read_text())) == 4
    binds = set(re.findall(r"^ +bind (\S+)", path.read_text(), re.MULTILINE))
    ports = (443, 80) if "skylens_tls" in settings else (443,)
    assert binds == {f"{address}:{port}" for port in ports for address in (["", "::"] if ipv6 else [""])}


def test_the_longest_wait_ends_before_the_proxy_does(tmp_path):
    waits = {"plain_wait_seconds": 4000, "max_wait_seconds": 100}
    text = write_configuration(tmp_path, 443, 8080, 8082, skylens_web_settings=waits).read_text()
    assert int(re.findall(r"timeout server (\d+)s", text)[0]) > 4000


def test_a_request_arrives_as_it_was_sent_and_its_client_is_known(proxied):
    status, headers, body = proxied.ask("/v1/images", "POST", b"x" * 200_000, source="127.0.0.3")
    assert status == 200
    assert json.loads(body) == {"path": "/v1/images", "bytes": 200_000, "scheme": "https", "client": "127.0.0.3"}
    assert "server" not in headers
    assert headers["strict-transport-security"] == "max-age=31536000"


def test_no_client_gets_http2(proxied):
    with proxied.connect("h2", "http/1.1") as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
    with proxied.connect("h2") as connection:
        assert connection.selected_alpn_protocol() is None


def test_an_idle_connection_is_closed_and_who_waits_for_an_answer_is_not_idle(hasty):
    with hasty.connect("http/1.1") as connection:
        connection.sendall(b"GET /slow?4 HTTP/1.1\r\nHost: localhost\r\n\r\n")
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


def test_who_is_refused_and_sends_no_body_is_told_and_holds_no_connection_for_long(proxied):
    lines = (
        "POST /v1/images",
        "PUT /v1/images",
        "POST /internal/demand",
        "POST /metrics",
        "OPTIONS *",
        "GET /v1/images",
    )
    lengths = ("Content-Length: 200000", "Transfer-Encoding: chunked", "Content-Length: 9\r\nExpect: 100-continue")
    heads = [
        f"{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n{length}\r\n\r\n"
        for line in lines
        for length in lengths
    ]
    with contextlib.ExitStack() as links, ThreadPoolExecutor(len(heads)) as pool:
        crowd = [links.enter_context(proxied.connect("http/1.1")) for _ in heads]
        for connection, head in zip(crowd, heads, strict=True):
            connection.settimeout(PATIENCE)
            connection.sendall(head.encode())
        said = dict(zip(heads, pool.map(whole, crowd), strict=True))
    assert all(text[:11] == b"HTTP/1.1 40" and over for text, over in said.values()), said


@pytest.mark.parametrize(("token", "size", "status"), [("wrong", 900_000, 401), ("right", 20_000_000, 413)])
def test_who_is_refused_while_sending_is_told(proxied, token, size, status):
    for _ in range(20):
        with contextlib.closing(
            HTTPSConnection("localhost", proxied.port, timeout=PATIENCE, context=proxied.tls)
        ) as connection:
            connection.request("POST", "/v1/images", b"x" * size, {"Authorization": f"Bearer {token}"})
            assert connection.getresponse().status == status


def test_no_address_keeps_the_others_out(crowded):
    address = ("127.0.0.1", crowded.port)
    with contextlib.ExitStack() as links:
        crowd = [links.enter_context(socket.create_connection(address)) for _ in range(MOST + 20)]
        until(lambda: sum(closed(one) for one in crowd) == 20)
        assert crowded.ask("/v1/images", source="127.0.0.4")[0] == 200
        with pytest.raises(OSError, match=r"(?i)reset|eof"):
            crowded.ask("/v1/images")
    until(lambda: answers(crowded))


def answers(proxied):
    with contextlib.suppress(OSError):
        return proxied.ask("/v1/images")[0] == 200


def closed(connection):
    try:
        return connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc", b"GET / HTTP/1.1\r\n"])
def test_who_does_not_finish_a_request_holds_no_connection(hasty, sent):
    with hasty.connect("http/1.1") as connection:
        connection.settimeout(15)
        connection.sendall(sent)
        said, over = whole(connection)
    assert over
    assert said[:13] in {b"", b"HTTP/1.1 408 "}


def test_who_does_not_shake_hands_holds_no_connection(hasty):
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=15) as connection:
        assert connection.recv(1) == b""


@pytest.mark.parametrize("sent", [b"PRI * HTTP/2.0\r\n\r\nSM", b"GET /a b HTTP/1.1", b"\x16\x03\x01"])
def test_what_is_no_http_1_1_is_refused(proxied, sent):
    with proxied.connect("http/1.1") as connection:
        connection.sendall(sent + b"\r\n\r\n")
        said, over = whole(connection)
    assert (said[:13], over) == (b"HTTP/1.1 400 ", True)


def test_without_a_web_tier_a_client_is_told_to_come_back(tmp_path, proxied):
    write_certificate(tmp_path)
    alone = Proxied(tmp_path, proxied.manager)
    path = write_configuration(tmp_path, alone.port, free_port(), free_port())
    with running(tmp_path, path, proxied.manager):
        status, headers, body = alone.ask("/v1/images")
    assert (status, json.loads(body)["code"]) == (503, "proxy")
    assert (headers["retry-after"], headers["content-type"]) == ("5", "application/problem+json")


def test_forwarded_headers_of_clients_are_not_believed(proxied):
    with proxied.connect("http/1.1") as connection:
        connection.sendall(
            b"GET /v1/images HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Forwarded-For: 8.8.8.8\r\n"
            b"X-Forwarded-Proto: http\r\nX-Forwarded-Host: evil.example\r\nForwarded: for=8.8.8.8\r\n\r\n"
        )
        said, _ = whole(connection)
    answer = json.loads(said.partition(b"\r\n\r\n")[2])
    assert (answer["client"], answer["scheme"]) == ("127.0.0.1", "https")


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


@pytest.mark.parametrize(("waits", "memory"), [(None, None), (None, 970), (None, 16_000), (1, 970), (8192, 16_000)])
def test_it_keeps_what_web_tier_and_memory_bear_and_an_address_a_fifth(tmp_path, waits, memory):
    given = {} if waits is None else {"skylens_web_settings": {"max_waits": waits}}
    lines = [f"memory {memory * 1000}"] if memory else []
    write_certificate(tmp_path)
    given["web_host_found"] = {"stdout_lines": lines}
    text = write_configuration(tmp_path, 443, 8080, 8082, **given).read_text()
    served = connections(WebSettings.model_fields["max_waits"].default if waits is None else waits)
    assert int(re.findall(r"server web .* maxconn (\d+)", text)[0]) == served
    (kept,) = map(int, re.findall(r"frontend endpoint\n +maxconn (\d+)", text))
    assert kept == min(served, (memory or 1000) * 1000 // 800)
    assert list(map(int, re.findall(r"sc0_conn_cur gt (\d+)", text))) == [kept // 5]
    given["proxy_balancers"] = "10.0.0.9"
    text = write_configuration(tmp_path, 443, 8080, 8082, **given).read_text()
    assert list(map(int, re.findall(r"sc0_conn_cur gt (\d+)", text))) == 2 * [kept // 10]


def balancer_configuration(folder, nodes, **settings):
    """Of the balancer before these nodes, by name and address."""
    found = {"web_host_found": {"stdout_lines": ["memory 4000000"]}}
    hosts = [{"name": name, "ansible_host": address, "groups": "web", **found} for name, address in nodes.items()]
    template = {"template": {"src": str(ROLES / "balancer/templates/haproxy.cfg.j2"), "dest": str(folder / "b.cfg")}}
    tasks = [*({"add_host": host} for host in hosts), template]
    files = [str(ROLES / "balancer/vars/main.yml")]
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": files, "tasks": tasks}
    (folder / "balancer.json").write_text(json.dumps([play]))
    defaults = yaml.safe_load((ROLES / "skylens" / "defaults" / "main.yml").read_text())
    done = run(folder / "balancer.json", defaults, {}, "-e", json.dumps(settings), folder=folder)
    assert done.rc == 0, done.output
    return folder / "b.cfg"


@pytest.mark.parametrize(
    ("nodes", "memory", "most", "each"), [(2, 8, 4496, 449), (10, 16, 20000, 2000), (10, 2, 2500, 250)]
)
def test_a_balancer_keeps_what_its_nodes_and_its_memory_bear_and_an_address_a_tenth(
    tmp_path, nodes, memory, most, each
):
    (tmp_path / "group_vars").symlink_to(PLAYBOOKS / "group_vars")
    addresses = {f"web-{number}": f"10.0.0.{number}" for number in range(nodes)}
    shown = base64.b64encode(f"MemTotal: {memory * 1_000_000:>14} kB\nMemFree: 1 kB\n".encode()).decode()
    path = balancer_configuration(tmp_path, addresses, balancer_memory={"content": shown})
    text = path.read_text()
    assert len(re.findall(r"tune\.(?:snd|rcv)buf\.(?:client|server) 65536", text)) == 4
    assert re.findall(r"(?:sc0_conn_cur gt| maxconn) (\d+)", text) == [str(most), str(each)]
    assert re.findall(r"^ +server \S+ (\S+)", text, re.MULTILINE) == [f"{one}:443" for one in addresses.values()]
    subprocess.run([need("haproxy"), "-c", "-f", path], check=True)


@pytest.fixture
def balanced(tmp_path, proxied):
    """A balancer, and behind it a proxy with its deadlines as they are, which keeps few connections of an address."""
    write_certificate(tmp_path)
    node, entry = Proxied(tmp_path, proxied.manager), Proxied(tmp_path, proxied.manager)
    settings = {"skylens_balancer": "haproxy", "skylens_address_connections": MOST, "proxy_balancers": "127.0.0.1"}
    paths = [write_configuration(tmp_path, node.port, proxied.public, proxied.public, **settings)]
    few = {"skylens_https_port": node.port, "skylens_address_connections": 2 * MOST}
    paths.append(balancer_configuration(tmp_path, {"web-1": "127.0.0.1"}, **few))
    text = re.sub(r" +(log /dev|user|group|daemon).*\n", "", paths[1].read_text())
    paths[1].write_text(text.replace(f"bind :{node.port}", f"bind 127.0.0.1:{entry.port}"))
    with contextlib.ExitStack() as started:
        for path in paths:
            started.enter_context(running(tmp_path, path, proxied.manager))
        until(lambda: answers(entry))
        yield node, entry


def test_behind_a_balancer_the_web_tier_knows_its_clients_and_no_address_keeps_the_others_out(balanced):
    node, entry = balanced
    assert json.loads(entry.ask("/v1/images", source="127.0.0.3")[2])["client"] == "127.0.0.3"
    assert json.loads(node.ask("/v1/images", source=SCRAPER)[2])["client"] == SCRAPER  # who looks after the node
    with contextlib.ExitStack() as links:
        for _ in range(MOST + 10):
            link = links.enter_context(socket.socket())
            link.bind(("127.0.0.5", 0))
            link.settimeout(PATIENCE)
            link.connect(("127.0.0.1", entry.port))
            with contextlib.suppress(OSError):  # of those that are too many
                links.enter_context(entry.tls.wrap_socket(link, server_hostname="localhost")).sendall(b"GET")
        assert entry.ask("/v1/images", source="127.0.0.4")[0] == 200
        with pytest.raises(OSError, match=r"(?i)reset|eof|closed|disconnected"):
            entry.ask("/v1/images", source="127.0.0.5")


REFUSED = (
    *("/metrics", "/metrics/", "/METRICS", "//metrics", "/%6detrics", "/metrics/scaler"),
    *("///metrics", "////METRICS", "/%2f%2fmetrics", "///internal/demand"),
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


def restart(proxied):
    proxied.stop_backend()
    proxied.start_backend()


@pytest.mark.parametrize("change", [restart, Proxied.reload], ids=["web", "proxy"])
def test_no_request_is_lost_while_one_of_them_is_started_anew(proxied, change):
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
    for _ in range(3):
        before = len(answers)
        change(proxied)
        deadline = time.monotonic() + PATIENCE
        while len(answers) < before + 20 and time.monotonic() < deadline:
            over.wait(0.05)
        assert len(answers) >= before + 20
    over.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {200}
