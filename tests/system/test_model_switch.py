"""Versions change under 50 requests a second: none fails, and each result names the version that made it."""

import itertools
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from app_aws import registry
from skylens.cli import main

RATE = 50
NAMES = {"1": "", "2": "two-", "3": "three-", "4": "four-"}
"""What each version puts before the label, so that an answer shows which network's labels made it."""


@pytest.fixture
def versions(tmp_path):
    """Folders of versions 2 to 4 of the bundled model, told apart by their labels."""
    bundled = registry.BUNDLED / "cifar10"
    for version in ("2", "3", "4"):
        folder = tmp_path / f"cifar10@{version}"
        folder.mkdir()
        (folder / "model.onnx").write_bytes((bundled / "model.onnx").read_bytes())
        labels = (bundled / "labels.txt").read_text("utf-8").splitlines()
        (folder / "labels.txt").write_text("\n".join(NAMES[version] + label for label in labels), "utf-8")
        text = (bundled / "model.toml").read_text("utf-8").replace('version = "1"', f'version = "{version}"')
        (folder / "model.toml").write_text(text, "utf-8")
    return tmp_path


class Crowd:
    """Sends one image each 20 ms, from the start of the block to its end, and keeps every answer."""

    def __init__(self, cloud, pictures):
        self.url, self.pictures, self.answers = f"{cloud.url}/v1/images", pictures, []
        self._done, self._clients = threading.Event(), ThreadPoolExecutor(128)
        self._thread = threading.Thread(target=self._send)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()
        self._clients.shutdown()
        self.answers = [one.result() for one in self.answers]

    def _send(self):
        began = time.monotonic()
        for number in itertools.count():
            if self._done.wait(max(0.0, began + number / RATE - time.monotonic())):
                return
            self.answers.append(self._clients.submit(self._ask, *self.pictures[number % len(self.pictures)]))

    def _ask(self, name, data):
        answer = requests.post(self.url, files={"f": (name, data)}, headers={"Prefer": "wait=60"}, timeout=90)
        return data, answer

    def seen(self, last=RATE):
        """How often each version made the last answers."""
        done = [one.result() for one in list(self.answers) if one.done()][-last:]
        return Counter(answer.json().get("model", {}).get("version") for _, answer in done)


@pytest.mark.system
def test_no_request_fails_while_models_change_and_each_result_names_its_version(
    start, offline, pictures, versions, monkeypatch, capsys
):
    cloud = start("--max", "2", "--set", "worker.model_seconds=0.5", "--set", "scaler.minimum=2")
    for name, value in {**cloud.environment, "SKYLENS_DEPLOYMENT": cloud.state.deployment}.items():
        monkeypatch.setenv(name, value)

    def models(*words):
        assert main(["models", *words]) == 0, capsys.readouterr().err

    for version in ("2", "3", "4"):
        models("push", str(versions / f"cifar10@{version}"))
    cloud.wait(lambda: len(cloud.state.workers) == 2, 60, "two workers run")
    with Crowd(cloud, pictures[:200]) as crowd:
        cloud.wait(lambda: set(crowd.seen()) == {"1"}, 30, "the model of the settings answers")
        models("activate", "cifar10@2")
        cloud.wait(lambda: set(crowd.seen()) == {"2"}, 30, "version 2 answers")
        models("activate", "cifar10@3", "--canary", "0.3")
        cloud.wait(lambda: crowd.seen()["3"] >= 5 and crowd.seen()["2"] >= 5, 30, "the canary answers beside it")
        models("activate", "cifar10@3")
        cloud.wait(lambda: set(crowd.seen()) == {"3"}, 30, "version 3 answers")
        models("activate", "cifar10@4")
        models("rollback")
        cloud.wait(lambda: set(crowd.seen()) == {"3"}, 30, "it was rolled back")
    assert Counter(answer.status_code for _, answer in crowd.answers) == {200: len(crowd.answers)}
    seen = {data: offline.label(data) for _, data in pictures[:200]}
    for data, answer in crowd.answers:
        body = answer.json()
        assert body["labels"][0]["label"] == NAMES[body["model"]["version"]] + seen[data]
    assert len({answer.json()["id"] for _, answer in crowd.answers}) == len(crowd.answers)
    made = Counter(answer.json()["model"]["version"] for _, answer in crowd.answers)
    figures = requests.get(f"{cloud.url}/metrics", timeout=10).text
    print(f"{len(crowd.answers)} answers, by version: {dict(made)}")
    for version in ("1", "2", "3"):
        assert f'skylens_web_results_total{{model="cifar10@{version}"}} {made[version]:.1f}' in figures
