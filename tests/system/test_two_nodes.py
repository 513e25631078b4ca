"""Two web processes on one deployment: either answers for the other, and no reply goes astray."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests


@pytest.mark.system
def test_a_job_posted_at_one_node_is_read_at_the_other(start, offline, pictures):
    cloud = start("--max", "2", "--boot", "1", "--web", "2")
    one, two = cloud.urls
    sent = pictures[:60]

    def post_and_read(numbered):
        number, (name, data) = numbered
        here, there = (one, two) if number % 2 else (two, one)
        headers = {"Prefer": "respond-async"}
        posted = requests.post(f"{here}/v1/images", files={"f": (name, data)}, headers=headers, timeout=60)
        assert posted.status_code == 202
        read = requests.get(f"{there}{posted.headers['Location']}?wait=60", timeout=90)
        assert read.status_code == 200
        assert requests.get(f"{here}{posted.headers['Location']}?wait=60", timeout=90).json() == read.json()
        return read.json()

    with ThreadPoolExecutor(20) as clients:
        found = list(clients.map(post_and_read, enumerate(sent)))
    assert [body["labels"][0]["label"] for body in found] == [offline.label(data) for _, data in sent]
    for node in cloud.state.web:
        replies = [line for line in cloud.records(node.name) if line["event"] == "replies.astray"]
        assert replies == []
        cloud.wait(lambda node=node: cloud.messages(f"replies-{node.name}") == (0, 0), 30, "replies are all taken")
        metrics = requests.get(f"{node.url}/metrics", timeout=10).text
        assert 'skylens_web_replies_total{kind="answer"} 30.0' in metrics
