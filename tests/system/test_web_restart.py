"""The web tier under a service manager that holds its sockets: stopped or killed, the next process answers for it."""

import http.client
import os
import threading
from contextlib import contextmanager

import pytest
import requests
from harness import Cloud
from service_manager import ServiceManager

from skylens.local import environment, tiers
from skylens.settings import WebSettings

CLIENTS = 4
PAUSE = 0.2
"""Seconds between two images of one client: 20 a second in all."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with Cloud(tmp_path_factory.mktemp("cloud"), "--boot", "0", "--set", "scaler.minimum=1") as running:
        yield running


class Door:
    """One web node as systemd runs it: its sockets stay open whoever serves them."""

    def __init__(self, cloud, folder):
        self.cloud, self.folder = cloud, folder
        self.manager = ServiceManager(folder, watchdog=60)
        self.port = self.manager.listen("public")
        self.manager.listen("internal")
        self.url = f"http://127.0.0.1:{self.port}"
        self.running = []

    def start(self):
        """Start a process; return it at once."""
        names = {"SKYLENS_DEPLOYMENT": self.cloud.state.deployment, "SKYLENS_VISIBILITY_TIMEOUT": "10"}
        environ = environment.base(os.environ, self.folder) | self.cloud.environment | names
        with (self.folder / "web.log").open("ab") as log:
            process = self.manager.start(tiers.program("web"), environ, stdout=log, stderr=log)
        self.running.append(process)
        return process

    def wait_until_ready(self):
        self.manager.wait_for("READY=1", len(self.running))

    def ask_while_nobody_serves(self):
        """A request on a connection of its own; its answer is still to be read."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        link.request("GET", "/healthz")
        return link


@pytest.fixture
def door(cloud, tmp_path):
    made = Door(cloud, tmp_path)
    with made.manager:
        yield made
        for process in made.running:
            process.terminate()
            process.wait(60)


class Load:
    """Clients that each send an image now and then, on a connection for each or on one that they keep."""

    def __init__(self, url, pictures):
        self.url, self.pictures = url, pictures
        self.answers, self.failures, self.halt = [], [], threading.Event()

    def send(self, number, keep):
        session = requests.Session()
        for name, data in self.pictures[number::CLIENTS]:
            if self.halt.wait(PAUSE):
                return
            client = session if keep else requests
            headers = {"Prefer": "respond-async"}
            try:
                answer = client.post(f"{self.url}/v1/images", files={"f": (name, data)}, headers=headers, timeout=60)
                self.answers.append(answer)
            except requests.RequestException as error:
                self.failures.append(error)

    @contextmanager
    def running(self):
        threads = [threading.Thread(target=self.send, args=(number, number % 2)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.halt.set()
            for thread in threads:
                thread.join(120)


@pytest.mark.system
def test_a_restart_under_load_refuses_and_resets_nobody(cloud, door, pictures):
    first = door.start()
    door.wait_until_ready()
    load = Load(door.url, pictures)
    with load.running():
        cloud.wait(lambda: len(load.answers) > 20, 60, "clients are answered")
        first.terminate()
        assert first.wait(60) == 0
        before = len(load.answers)
        late = door.ask_while_nobody_serves()
        door.start()
        assert late.getresponse().status == 200
        cloud.wait(lambda: len(load.answers) > before + 20, 60, "clients are answered by the next process")
    assert load.failures == []
    assert {answer.status_code for answer in load.answers} == {202}
    for answer in load.answers:
        found = requests.get(f"{door.url}{answer.headers['Location']}?wait=60", timeout=90)
        assert (found.status_code, found.json()["id"]) == (200, answer.json()["id"])
    heard = door.manager.heard()
    assert [line for line in heard if line in {"READY=1", "STOPPING=1"}] == ["READY=1", "STOPPING=1", "READY=1"]
    assert "WATCHDOG=1" in heard
    assert f"STATUS={WebSettings(listen=f'127.0.0.1:{door.port}').node_name()} serves {door.url}" in heard


@pytest.mark.system
def test_what_waits_when_a_process_is_killed_is_answered_by_the_next(door):
    first = door.start()
    door.wait_until_ready()
    assert requests.get(f"{door.url}/readyz", timeout=60).status_code == 200
    first.kill()
    first.wait(60)
    waiting = [door.ask_while_nobody_serves() for _ in range(10)]
    door.start()
    assert [link.getresponse().status for link in waiting] == [200] * 10


@pytest.mark.system
def test_the_same_picture_again_needs_no_worker_even_after_a_kill(cloud, door, pictures):
    def ask(number):
        name, data = pictures[-number]
        return requests.post(f"{door.url}/v1/images", files={"f": (name, data)}, timeout=60).json()

    def filled(times):
        return (door.folder / "web.log").read_text().count("cache.filled") == times

    first = door.start()
    door.wait_until_ready()
    cloud.wait(lambda: filled(1), 60, "the door knows which model is active")
    before = [ask(number) for number in (1, 2)]
    again = ask(1)
    assert (again["same_as"], again["labels"]) == (before[0]["id"], before[0]["labels"])
    first.kill()
    first.wait(60)
    door.start()
    cloud.wait(lambda: filled(2), 60, "the answers are back from the bucket")
    assert [ask(number)["same_as"] for number in (1, 2)] == [one["id"] for one in before]
    assert requests.get(f"{door.url}/v1/images/{again['id']}", timeout=60).json() == again
