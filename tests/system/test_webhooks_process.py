"""Real web processes, killed between their answer and a webhook's delivery, or its end: nothing is forgotten."""

import json

import pytest
import requests
from last_call import dying_at
from receivers import SECRET, Receiver, is_signed

SETTINGS = ["--set", f"web.webhook_secrets=default:{SECRET}", "--set", "web.webhook_networks=127.0.0.0/8"]
SETTINGS += ["--set", "web.webhook_http=true", "--set", "all.log_level=DEBUG"]


def pending(cloud):
    return [key for key in cloud.keys("state") if key.startswith("webhooks/")]


@pytest.mark.system
def test_a_webhook_survives_the_death_of_the_process_that_promised_it(start, pictures):
    """The fleet boots for seconds after the 202: nothing can have been delivered before the kill."""
    cloud = start("--max", "1", "--boot", "4", *SETTINGS)
    (name, data), *others = pictures[:3]
    with Receiver(500, 204) as receiver:
        told = {"Callback-Url": receiver.url}
        image = requests.post(f"{cloud.url}/v1/images", files={"f": (name, data)}, headers=told, timeout=60)
        files = [("f", one) for one in others]
        batch = requests.post(f"{cloud.url}/v1/batches", files=files, headers=told, timeout=60)
        assert (image.status_code, batch.status_code) == (202, 202)
        cloud.kill_web()
        assert receiver.got == []
        cloud.wait(lambda: len(receiver.got) == 3, 120, "both are told, one of them at the second attempt")
        cloud.wait(lambda: pending(cloud) == [], 30, "both are noted as told")
        cloud.kill_web()
    assert all(is_signed(headers, body) for headers, body in receiver.got)
    events = {headers["webhook-id"]: json.loads(body) for headers, body in receiver.got}
    assert events.keys() == {image.json()["id"], batch.json()["id"]}
    found = requests.get(f"{cloud.url}{image.headers['Location']}", timeout=60).json()
    assert events[image.json()["id"]]["data"]["result"] == found
    assert events[batch.json()["id"]]["data"] == {"id": batch.json()["id"], "total": 2, "done": 2, "failed": 0}
    log = cloud.log(cloud.state.web[0].name)
    assert "webhook.delivered" in log
    assert SECRET.removeprefix("whsec_") not in log
    assert "s3cret" not in log


@pytest.mark.system
def test_a_death_after_the_delivery_repeats_it_under_the_same_id(start, pictures, tmp_path):
    short = "from web_openstack.webhooks import courier; courier.CLAIM = 3.0"
    dying = dying_at(tmp_path, "Key", "startswith('webhooks/')", before=short)
    cloud = start("--max", "1", "--boot", "0", *SETTINGS, environment=dying)
    name, data = pictures[0]
    with Receiver(204) as receiver:
        told = {"Callback-Url": receiver.url}
        job = requests.post(f"{cloud.url}/v1/images", files={"f": (name, data)}, headers=told, timeout=60).json()["id"]
        cloud.wait(lambda: len(receiver.got) == 2, 120, "it is told again after the kill")
        cloud.wait(lambda: pending(cloud) == [], 30, "and noted as told")
    assert (tmp_path / "killed").exists()
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {job}
    assert len({body for _, body in receiver.got}) == 1
    assert all(is_signed(headers, body) for headers, body in receiver.got)
