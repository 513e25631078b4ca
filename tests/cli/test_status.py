"""``skylens status``: what is shown, and its exit code."""

import json
import signal

import pytest

from skylens.cli import main
from skylens.cli.status import rate, spark
from tests.cli.scripted import STATUS, problem, start


def test_queue_fleet_and_demand_are_shown(service, capsys):
    assert main(["status", "--url", service.url]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for said in ("web-1", "3 waiting", "10.0/s in", "2 visible, 1 in flight", "instances 1, wanted 2", "3 outstanding"):
        assert said in out
    assert "i-1 busy 12 3 40" in out


def test_what_a_service_says_does_nothing_to_the_terminal(service, capsys):
    evil = "i-1\x1b[2J[bold]"
    workers = [{**STATUS["fleet"]["workers"][0], "instance": evil}]
    fleet = {**STATUS["fleet"], "reason": evil, "workers": workers}
    service.status = 200, {**STATUS, "node": evil, "fleet": fleet}, {}
    assert main(["status", "--url", service.url]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("i-1\\x1b[2J[bold]") == 3


def test_a_young_service_without_fleet_and_queue_is_shown(service, capsys):
    demand = {"outstanding": 0, "oldest": 0, "arrivals": [], "completions": []}
    service.status = 200, {"node": "web-1", "demand": demand, "fleet": None, "queue": None, "fleet_age": None}, {}
    assert main(["status", "--url", service.url]) == 0
    assert "no autoscaler has reported" in capsys.readouterr().out


def test_json_is_for_programs(service, capsys):
    assert main(["status", "--url", service.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["demand"] == STATUS["demand"]


@pytest.mark.parametrize("answer", [problem(503, "unavailable", "draining"), (200, b"<html>", {}), None])
def test_a_service_that_does_not_answer_is_1_and_a_sentence(service, capsys, answer):
    service.status = answer
    assert main(["status", "--url", service.url if answer else "http://127.0.0.1:9"]) == 1
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith("skylens status: ")
    assert "Traceback" not in out.err


def test_watch_goes_on_through_a_failure_until_ctrl_c(service):
    service.status = problem(503, "unavailable", "draining")
    watching = start("status", "--url", service.url, "--watch", "--json")
    assert json.loads(watching.stdout.readline()) == {"error": "draining"}
    service.status = 200, STATUS, {}
    while "error" in (line := json.loads(watching.stdout.readline())):
        pass
    assert line["node"] == "web-1"
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=30)
    assert watching.returncode == 0


def test_a_rate_leaves_the_unfinished_second_out():
    assert rate((0, 10, 20, 99)) == 10.0
    assert rate((7,)) == rate(()) == 0.0


def test_a_spark_is_empty_for_zero_and_full_for_the_largest():
    assert spark((0, 1, 8)) == " ▁█"
    assert spark((0, 0)) == "  "
    assert spark(()) == ""
