"""A big image that does not come through the door: announced, stored by its client, submitted, recognised."""

import hashlib
import io

import pytest
import requests
from PIL import Image as Picture


def large(data):
    """The same picture in some megabytes: no compression of a canvas of noise-free pixels."""
    out = io.BytesIO()
    Picture.open(io.BytesIO(data)).convert("RGB").resize((1600, 1200)).save(out, "PNG", compress_level=0)
    return out.getvalue()


@pytest.mark.system
def test_a_big_image_is_stored_by_its_client_and_recognised_like_any_other(start, offline, pictures):
    cloud = start("--max", "1", "--boot", "0")
    name, small = pictures[0]
    data = large(small)
    digest = hashlib.sha256(data).hexdigest()
    announced = {"content_type": "image/png", "size": len(data), "sha256": digest}
    invited = requests.post(f"{cloud.url}/v1/uploads", json=announced, timeout=60)
    assert invited.status_code == 201, invited.text
    upload = invited.json()
    assert requests.post(f"{cloud.url}/v1/images", json={"upload": upload["id"]}, timeout=60).status_code == 404
    assert requests.put(upload["url"], data[::-1], headers=upload["headers"], timeout=60).status_code == 400
    assert requests.put(upload["url"], data, headers=upload["headers"], timeout=60).status_code == 200
    assert requests.put(upload["url"], data, headers=upload["headers"], timeout=60).status_code == 412
    asked = {"upload": upload["id"], "name": name}
    answers = [requests.post(f"{cloud.url}/v1/images", json=asked, timeout=90) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    result = answers[0].json()
    assert (result["digest"], result["name"]) == (digest, name)
    assert result["labels"][0]["label"] == offline.label(data)
    assert cloud.keys("input") == [f"default/{result['id']}"]
