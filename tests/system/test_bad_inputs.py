"""Three hundred bad inputs: a clear error or a right answer for each, no worker bothered in vain, nobody dies."""

import json
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests
from bad_inputs import RIGHT, all_of_them

GROWTH = 60 * 1024**2
"""Bytes that a process may grow by: bodies of 17 MB are in flight among these."""


@pytest.mark.system
def test_three_hundred_bad_inputs(start):
    cloud = start("--max", "1", "--boot", "1", "--idle", "300")
    inputs = all_of_them()
    assert len(inputs) >= 300
    right = next(one for one in inputs if one[0] == "palette.png")
    assert post(cloud, right).status_code == 200
    pids = [cloud.state.web[0].pid, *cloud.state.workers.values()]
    before = [psutil.Process(pid).memory_info().rss for pid in pids]
    keys = set(cloud.keys("input"))
    with ThreadPoolExecutor(8) as clients:
        for_the_door = [one for one in inputs if one[4]]
        refused = list(clients.map(lambda one: post(cloud, one), for_the_door))
        assert set(cloud.keys("input")) == keys, "the door stored what it could have refused"
        for_workers = [one for one in inputs if not one[4]]
        answers = refused + list(clients.map(lambda one: post(cloud, one), for_workers))
    wrong = [
        (name, answer.status_code, answer.text[:200])
        for (name, _, _, allowed, _), answer in zip(for_the_door + for_workers, answers, strict=True)
        if answer.status_code not in allowed
    ]
    assert wrong == []
    for answer in answers:
        if answer.status_code != 200:
            assert answer.headers["Content-Type"] == "application/problem+json"
            problem = json.loads(answer.text)
            assert len(problem["detail"]) > 15
            assert not any(word in answer.text for word in ("Traceback", "File \\", "PIL", "botocore"))
    right_ones = sum(one[3] == RIGHT for one in for_workers)
    assert right_ones <= len(cloud.keys("output")) - len(keys) <= len(for_workers)
    assert len(cloud.keys("output")) == len(cloud.keys("input")), "an image was taken in and never answered"
    after = [psutil.Process(pid).memory_info().rss for pid in pids]
    assert [cloud.state.web[0].pid, *cloud.state.workers.values()] == pids, "a process died"
    assert all(late - early < GROWTH for early, late in zip(before, after, strict=True)), (before, after)
    assert cloud.messages("requests-dead") == (0, 0)
    assert post(cloud, right).status_code == 200


def post(cloud, one):
    name, headers, body, *_ = one
    return requests.post(
        f"{cloud.url}/v1/images", data=body, headers=headers | {"Prefer": "wait=60", "X-Request-ID": name}, timeout=90
    )
