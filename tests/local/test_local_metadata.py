import socket
import struct
import threading

import httpx2
import pytest

from skylens.clock import FakeClock
from skylens.local.metadata import Metadata, Registry

TTL = "X-aws-ec2-metadata-token-ttl-seconds"


@pytest.fixture
def time():
    return FakeClock()


@pytest.fixture
def registry(time):
    made = Registry(time.clock())
    made.add("i-1", "SKYLENS_MODEL=cifar10\n", {"skylens:deployment": "local"})
    return made


@pytest.fixture
def http(registry):
    service = Metadata(registry)
    service.start()
    with httpx2.Client(base_url=service.url, trust_env=False) as client:
        yield client
    service.close()


def read(http, path, instance="i-1"):
    token = http.put(f"/{instance}/latest/api/token", headers={TTL: "60"}).text
    return http.get(f"/{instance}/latest/{path}", headers={"X-aws-ec2-metadata-token": token})


@pytest.mark.parametrize("token", [None, "", "guessed"])
def test_without_a_token_nothing_is_told(http, token):
    headers = {} if token is None else {"X-aws-ec2-metadata-token": token}
    assert http.get("/i-1/latest/meta-data/instance-id", headers=headers).status_code == 401


def test_a_token_of_one_instance_is_none_of_another(http, registry):
    registry.add("i-2", "", {})
    token = http.put("/i-1/latest/api/token", headers={TTL: "60"}).text
    headers = {"X-aws-ec2-metadata-token": token}
    assert http.get("/i-2/latest/meta-data/instance-id", headers=headers).status_code == 401


def test_a_token_ends_after_its_time(http, time):
    token = http.put("/i-1/latest/api/token", headers={TTL: "60"}).text
    headers = {"X-aws-ec2-metadata-token": token}
    time.sleep(59)
    assert http.get("/i-1/latest/meta-data/instance-id", headers=headers).status_code == 200
    time.sleep(1)
    assert http.get("/i-1/latest/meta-data/instance-id", headers=headers).status_code == 401


def test_a_worker_that_is_killed_while_it_asks_leaves_no_trace_on_the_terminal(registry, monkeypatch, capfd):
    service = Metadata(registry)
    killed, over = threading.Event(), threading.Event()
    answer, end = registry.token, service._server.shutdown_request

    def late(*asked):
        assert killed.wait(30)
        return answer(*asked)

    monkeypatch.setattr(registry, "token", late)
    monkeypatch.setattr(service._server, "shutdown_request", lambda connection: (end(connection), over.set()))
    service.start()
    worker = socket.create_connection(("127.0.0.1", service._server.server_port))
    worker.sendall(f"PUT /i-1/latest/api/token HTTP/1.1\r\n{TTL}: 60\r\n\r\n".encode())
    worker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # as a process that is gone
    worker.close()
    killed.set()
    assert over.wait(30)
    service.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seconds", [None, "0", "21601", "soon"])
def test_a_token_needs_a_life_of_one_second_to_six_hours(http, seconds):
    headers = {} if seconds is None else {TTL: seconds}
    assert http.put("/i-1/latest/api/token", headers=headers).status_code == 400


def test_a_token_is_not_given_through_a_proxy(http):
    assert http.put("/i-1/latest/api/token", headers={TTL: "60", "X-Forwarded-For": "10.0.0.1"}).status_code == 403


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("meta-data/instance-id", "i-1"),
        ("user-data", "SKYLENS_MODEL=cifar10\n"),
        ("meta-data/tags/instance", "skylens:deployment"),
        ("meta-data/tags/instance/skylens:deployment", "local"),
        ("meta-data/tags/instance/skylens%3Adeployment", "local"),
    ],
)
def test_an_instance_reads_its_own(http, path, text):
    answer = read(http, path)
    assert (answer.status_code, answer.text) == (200, text)


@pytest.mark.parametrize(
    "path",
    [
        "meta-data/spot/instance-action",
        "meta-data/autoscaling/target-lifecycle-state",
        "meta-data/tags/instance/skylens:state",
        "meta-data/no-such",
        "nothing",
    ],
)
def test_what_there_is_none_of_is_not_found(http, path):
    assert read(http, path).status_code == 404


def test_an_unknown_instance_gets_no_token(http):
    assert http.put("/i-9/latest/api/token", headers={TTL: "60"}).status_code == 404


def test_a_notice_is_seen_by_its_instance_alone(http, registry):
    registry.add("i-2", "", {})
    assert http.put("/emulator/i-1/spot/instance-action", content='{"action": "terminate"}').status_code == 200
    assert read(http, "meta-data/spot/instance-action").text == '{"action": "terminate"}'
    assert read(http, "meta-data/spot/instance-action", "i-2").status_code == 404
    assert http.put("/emulator/i-9/spot/instance-action", content="x").status_code == 404
    assert http.put("/i-1/latest/meta-data/spot/instance-action", content="x").status_code == 404


def test_a_whole_fleet_may_ask_in_the_same_moment(registry):
    service = Metadata(registry)  # accepts nobody yet
    try:
        fleet = [socket.create_connection(service._server.server_address, timeout=5) for _ in range(40)]
    finally:
        service.close()
    for one in fleet:
        one.close()
