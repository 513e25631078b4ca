import pytest
from web_node import Node, serving

from autoscaler.nodes import WebNodes
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
