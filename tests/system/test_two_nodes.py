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


@pytest.mark.system
def test_what_is_deleted_at_one_node_is_gone_at_the_other(start, pictures):
    """The first has the answer in both its memories, and nobody tells it but the state bucket."""
    cloud = start("--max", "1", "--boot", "1", "--web", "2", "--set", "web.cache_mib=16")
    one, two = cloud.urls
    name, data = pictures[0]

    def send():
        answer = requests.post(f"{one}/v1/images", files={"f": (name, data)}, timeout=90)
        assert answer.status_code == 200, answer.text
        return answer.json()

    cloud.wait(lambda: "cache.filled" in cloud.log(cloud.state.web[0].name), 60, "it knows which model is active")
    first, copied = send(), send()
    assert copied["same_as"] == first["id"]
    place = f"/v1/images/{first['id']}"
    for _ in range(2):
        assert requests.delete(f"{two}{place}", timeout=30).status_code == 204
    assert requests.get(f"{two}{place}", timeout=30).json()["code"] == "deleted"
    cloud.wait(lambda: requests.get(f"{one}{place}", timeout=30).status_code == 410, 60, "the other node has heard")
    assert f"default/{first['id']}" not in cloud.keys("input")
    assert requests.get(f"{two}/v1/images/{copied['id']}", timeout=30).json() == copied
    again = send()
    assert "same_as" not in again
    assert again["labels"] == first["labels"]
    (audit, _) = [line for line in cloud.records(cloud.state.web[1].name) if line["event"] == "audit.deleted"]
    assert (audit["job"], audit["tenant"]) == (first["id"], "default")
