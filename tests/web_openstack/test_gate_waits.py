"""While a strategy asks somebody who sends, that connection alone waits, unread, and then all goes on as if it knew."""

import http.client
import json
import socket
import threading

import pytest
import structlog
from keyed import ask, serving, until
from trusting import auth_token, trusting
from web_tier import picture

from web_openstack import keystone as module
from web_openstack import server

PNG = {"Content-Type": "image/png", "Prefer": "respond-async"}


@pytest.fixture
def tier(make_web):
    with trusting(make_web, max_waits=4) as made:
        yield made


@pytest.fixture
def port(tier):
    with serving(tier.web) as port:
        yield port


@pytest.fixture
def held(tier):
    """Keystone answers the first question only once this is set."""
    event = threading.Event()
    tier.keystone.script.append(event)
    yield event
    event.set()


def opened(port, *lines, method="POST", path="/v1/images", body=b""):
    """A connection on which a request was sent as far as ``body``."""
    link = socket.create_connection(("127.0.0.1", port), timeout=60)
    link.sendall("\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode() + body)
    return link


def read_all(link):
    data = b""
    while part := link.recv(65536):
        data += part
    return data


def takes_nobody(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
    except ConnectionError:
        return True
    return False


def asked(tier, times=1):
    until(lambda: len(tier.keystone.asked) >= times)


def test_no_more_of_a_body_is_taken_in_until_its_sender_is_known(tier, port, held):
    data, token = picture(), tier.keystone.issue("member")
    head = [f"X-Auth-Token: {token}", f"Content-Length: {len(data)}", "Expect: 100-continue", "Content-Type: image/png"]
    with opened(port, *head, "Prefer: respond-async") as link:
        asked(tier)
        assert ask(port, "GET", "/healthz")[0] == 200
        link.settimeout(0)
        with pytest.raises(BlockingIOError):
            link.recv(1)
        link.settimeout(60)
        held.set()
        assert link.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        link.sendall(data)
        assert link.recv(65536).startswith(b"HTTP/1.1 202 ")


def test_what_came_with_the_headers_is_not_lost(tier, port, held):
    """Body and the next request arrive while Keystone thinks, whole or in pieces."""
    data, token = picture(), tier.keystone.issue("member", "reader")
    keep = f"X-Auth-Token: {token}"
    lines = [keep, f"Content-Length: {len(data)}", "Content-Type: image/png", "Prefer: respond-async"]
    rest = f"GET /v1/images/none HTTP/1.1\r\nHost: localhost\r\n{keep}\r\nConnection: close\r\n\r\n".encode()
    with opened(port, *lines, body=data[:20]) as link:
        asked(tier)
        link.sendall(data[20:] + rest)
        held.set()
        answers = read_all(link)
    assert answers.startswith(b"HTTP/1.1 202 ")
    assert answers.count(b"HTTP/1.1 404 ") == 1
    assert len(tier.web.inputs.objects) == 1


def test_a_refused_sender_hears_why_and_nothing_of_the_body_is_a_request(tier, port, held):
    inner = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with opened(port, "X-Auth-Token: stranger", f"Content-Length: {len(inner)}", body=inner) as link:
        asked(tier)
        held.set()
        answers = read_all(link)
    assert answers.startswith(b"HTTP/1.1 401 ")
    assert answers.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answers


def test_a_request_without_a_body_waits_as_well_and_holds_no_thread(tier, port, held):
    """More of them than there are threads, and everybody else is served meanwhile."""
    token = tier.keystone.issue("reader")
    links = [
        opened(port, f"X-Auth-Token: {token}", "Connection: close", method="GET", path="/v1/status")
        for _ in range(3 * (4 + server.SPARE))
    ]
    asked(tier)
    for _ in range(5):
        assert ask(port, "GET", "/healthz")[0] == 200
        assert ask(port, "GET", "/v1/status")[0] == 401
    held.set()
    for link in links:
        assert read_all(link).startswith(b"HTTP/1.1 200 ")
        link.close()
    assert len(tier.keystone.asked) == 1, "one question for all of them"


def test_a_client_that_leaves_meanwhile_takes_its_connection_along(tier, port, held):
    for _ in range(20):
        opened(port, "X-Auth-Token: stranger", "Content-Length: 100", body=b"x" * 10).close()
    asked(tier)
    held.set()
    until(lambda: ask(port, "GET", "/healthz")[0] == 200)
    assert ask(port, "GET", "/v1/status", headers=auth_token(tier.keystone.issue("reader")))[0] == 200


def test_a_server_that_stops_meanwhile_answers_first(tier):
    event, answers = threading.Event(), []
    tier.keystone.script.append(event)
    token = tier.keystone.issue("reader")
    with serving(tier.web) as port:
        link = opened(port, f"X-Auth-Token: {token}", method="GET", path="/v1/status")
        reader = threading.Thread(target=lambda: answers.append(read_all(link)))
        reader.start()
        asked(tier)
        let_go = threading.Thread(target=lambda: (until(lambda: takes_nobody(port)), event.set()))
        let_go.start()
    for thread in (let_go, reader):
        thread.join(60)
    link.close()
    assert answers[0].startswith(b"HTTP/1.1 200 ")


def test_a_helper_that_breaks_tells_whoever_waits(tier, port, monkeypatch):
    def broken(self, token):
        raise ZeroDivisionError

    monkeypatch.setattr(module.KeystoneTokens, "_heard", broken)
    with structlog.testing.capture_logs() as lines:
        status, _, body = ask(port, "POST", "/v1/images", picture(), PNG | auth_token("some-token"))
    assert (status, json.loads(body)["code"]) == (503, "unavailable")
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["keystone.broke"]


@pytest.mark.parametrize("waits", [False, True])
def test_a_fault_in_a_strategy_is_answered_and_the_server_goes_on(tier, port, monkeypatch, waits):
    token = tier.keystone.issue("member")
    if not waits:
        assert ask(port, "GET", "/v1/status", headers=auth_token(token))[0] == 200
    monkeypatch.setattr(module.KeystoneTokens, "caller", lambda self, header: 1 / 0)
    assert ask(port, "POST", "/v1/images", picture(), PNG | auth_token(token))[0] == 500
    assert ask(port, "GET", "/v1/status", headers=auth_token(token))[0] == 500
    assert ask(port, "GET", "/healthz")[0] == 200
    assert len(tier.keystone.asked) == 1


def test_a_caller_stays_who_they_were_when_the_headers_came(tier, port):
    """However long the body takes: Keystone's word may be forgotten by then."""
    data, token = picture(), tier.keystone.issue("member")
    lines = [f"X-Auth-Token: {token}", f"Content-Length: {len(data)}", "Content-Type: image/png"]
    with opened(port, *lines, "Prefer: respond-async", body=data[:10]) as link:
        asked(tier)
        until(lambda: ask(port, "GET", "/v1/status", headers=auth_token(token))[0] == 200)
        tier.clock.sleep(module.GOOD + 1)
        tier.keystone.revoke(token)
        link.sendall(data[10:])
        assert link.recv(65536).startswith(b"HTTP/1.1 202 ")
    assert ask(port, "GET", "/v1/status", headers=auth_token(token))[0] == 401


def test_on_one_connection_each_request_is_judged_by_its_own_token(tier, port):
    good = tier.keystone.issue("reader")
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for token, status in ((good, 200), ("stranger", 401), (good, 200), ("", 401)) * 2:
        link.request("GET", "/v1/status", headers=auth_token(token) if token else {})
        answer = link.getresponse()
        answer.read()
        assert answer.status == status
    link.close()
