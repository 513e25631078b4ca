"""A client that stores its images in S3 by itself: announces, stores, submits."""

import hashlib
import json

from web_tier import picture

JSON = {"Content-Type": "application/json"}
ASYNC = JSON | {"Prefer": "respond-async"}
DATA = picture(size=(40, 30))
DIGEST = hashlib.sha256(DATA).hexdigest()
GOOD = {"content_type": "image/png", "size": len(DATA), "sha256": DIGEST}


def announce(web, headers=None, **changes):
    return web.client.simulate_post("/v1/uploads", body=json.dumps(GOOD | changes), headers=JSON | (headers or {}))


def stored(web, data=DATA, tenant="default", headers=None):
    """An upload as its client has stored it; its id."""
    name = announce(web, headers).json["id"]
    web.inputs.put(f"{tenant}/uploads/{name}", data, "image/png")
    return name


def submit(web, upload, headers=None, **fields):
    body = json.dumps({"upload": upload} | fields)
    return web.client.simulate_post("/v1/images?top=3", body=body, headers=ASYNC | (headers or {}))
