import itertools
import socket
import threading
from contextlib import suppress

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


@pytest.mark.parametrize(("status", "body"), [(503, b"{}"), (200, b"not json"), (200, b'{"node": "web"}')])
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


@pytest.fixture(params=[b"", HEAD, HEAD + b"\r\n"], ids=["status", "header", "body"])
def dribbling(request):
    """A node that answers a byte now and then, for ever; its URL."""
    halt, links = threading.Event(), []

    def answer(link):
        with suppress(OSError):
            link.sendall(request.param)
            while not halt.wait(0.1):
                link.sendall(b"H")

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


def test_a_node_that_answers_byte_by_byte_holds_up_nobody_and_is_left_out_while_it_does(node, dribbling):
    web = WebNodes(lambda: (dribbling, node.url), ticks=lambda: 0.0)  # an exchange that never gives up
    try:
        for _ in range(3):
            assert web.demands() == {dribbling: None, node.url: DEMAND}
            assert web.tell(REPORT) == {dribbling: False, node.url: True}
    finally:
        web.close()


@pytest.mark.parametrize("dribbling", [HEAD + b"\r\n"], indirect=True)
def test_a_body_byte_by_byte_is_given_up_and_its_node_asked_again(dribbling):
    ticks = itertools.count(0.0, 10.0)
    web = WebNodes(lambda: (dribbling,), ticks=lambda: next(ticks))
    try:
        assert web.demands() == {dribbling: None}
        assert web.tell(REPORT) == {dribbling: True}
    finally:
        web.close()


def test_an_answer_without_an_end_is_no_answer(node, web):
    node.body = encode(DEMAND) + b" " * LARGEST
    assert web.demands()[node.url] is None
    node.body = encode(DEMAND) + b" " * 1000
    assert web.demands()[node.url] == DEMAND
