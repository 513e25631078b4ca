import socket
import threading
from concurrent.futures import wait
from contextlib import contextmanager, suppress

import msgspec
import pytest
from web_node import Node, serving

from autoscaler.nodes import LARGEST, WebNodes
from skylens.messages import Demand, FleetReport, encode

DEMAND = Demand(
    node="web",
    at=2.0,
    started=1.0,
    arrivals=(1, 0),
    completions=(0, 0),
    outstanding=7,
    oldest=1.5,
    service_times=(0.1,),
)
REPORT = FleetReport(
    at=1.0, policy="greedy", desired=2, minimum=0, maximum=3, reason="r", workers=(), boot_seconds=3.0, slots=4
)


@pytest.fixture
def node():
    with serving(Node(encode(DEMAND))) as server:
        yield server


@pytest.fixture
def web(node):
    nodes = WebNodes(lambda: (node.url, "http://127.0.0.1:9"))
    yield nodes
    nodes.close()


def test_each_node_is_asked_and_a_silent_one_is_none(node, web):
    assert web.demands() == {node.url: DEMAND, "http://127.0.0.1:9": None}


HOSTILE = {
    "arrivals": [[], [-1], [10**400], [1] * 4000],
    "completions": [[], [10**10]],
    "outstanding": [-1, 10**10, 10**400],
    "oldest": [-1.0, 1e300],
    "at": [-1.0, 1e300],
    "started": [-1.0, 1e300],
    "service_times": [[-1.0], [1e300], [0.1] * 20_000],
}
WRONG = [(200, encode(msgspec.to_builtins(DEMAND) | {name: one})) for name, some in HOSTILE.items() for one in some]


@pytest.mark.parametrize(("status", "body"), [(503, b"{}"), (200, b"not json"), (200, b'{"node": "web"}'), *WRONG])
def test_an_error_or_a_damaged_answer_is_no_answer(node, web, status, body):
    node.status, node.body = status, body
    assert web.demands()[node.url] is None


def test_each_node_is_told_of_the_fleet(node, web):
    assert web.tell(REPORT) == {node.url: True, "http://127.0.0.1:9": False}
    ((path, kind, body),) = node.taken
    assert (path, kind, body["desired"]) == ("/internal/fleet", "application/json", 2)


def test_a_node_that_refuses_the_report_is_said_so(node, web):
    node.status = 404
    assert web.tell(REPORT)[node.url] is False


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


@contextmanager
def raw(start, more, pause=0.1):
    """The URL of a node that answers with ``start``, and then with ``more`` again and again, for ever."""
    halt, links = threading.Event(), []

    def answer(link):
        with suppress(OSError):
            link.sendall(start)
            while not halt.wait(pause):
                link.sendall(more)

    def serve():
        with suppress(OSError):
            while True:
                links.append(door.accept()[0])
                threading.Thread(target=answer, args=(links[-1],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        halt.set()
    for link in links:
        link.close()


@pytest.mark.parametrize("start", [b"", HEAD, HEAD + b"\r\n"], ids=["status", "header", "body"])
def test_a_node_that_answers_byte_by_byte_holds_up_nobody(node, start):
    with raw(start, b"H") as dribbling:
        web = WebNodes(lambda: (dribbling, node.url))
        for _ in range(2):
            assert web.demands() == {dribbling: None, node.url: DEMAND}
            assert web.tell(REPORT) == {dribbling: False, node.url: True}
        web.close()  # which would wait for an exchange that had no end


@pytest.mark.parametrize("more", [INTERIM * 100, b"X-Long: " + b"h" * 5000 + b"\r\n"], ids=["interim", "headers"])
def test_an_answer_that_never_begins_ends_after_so_many_bytes(more):
    with raw(HEAD if more[:1] == b"X" else b"", more, pause=0.001) as endless:
        web = WebNodes(lambda: (endless,), ticks=lambda: 0.0)  # no time passes
        assert web.demands() == {endless: None}
        assert web.tell(REPORT) == {endless: False}
        web.close()


def test_a_node_whose_name_is_looked_up_for_long_is_left_out_until_it_is_found(node, monkeypatch):
    asked, found, look_up = [], threading.Event(), socket.getaddrinfo

    def slow(host, *rest, **named):
        if host == "web-2":
            asked.append(host)
            found.wait(30)
        return look_up("127.0.0.1" if host == "web-2" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    named = node.url.replace("127.0.0.1", "web-2")
    web = WebNodes(lambda: (named, node.url))
    try:
        for _ in range(2):
            assert web.demands() == {named: None, node.url: DEMAND}
        assert asked == ["web-2"]
    finally:
        found.set()
    wait(web._late.values(), 10)
    assert web.demands() == {named: DEMAND, node.url: DEMAND}
    web.close()


def test_an_answer_without_an_end_is_no_answer(node, web):
    node.body = encode(DEMAND) + b" " * LARGEST
    assert web.demands()[node.url] is None
    node.body = encode(DEMAND) + b" " * 1000
    assert web.demands()[node.url] == DEMAND
