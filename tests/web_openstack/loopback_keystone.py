"""Keystone's Identity API v3 on loopback, as far as a token may ask about itself: by its reference, and its policy."""

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from loopback import Replying, serving

ISSUED = 1_700_000_000
"""When the fake clock begins."""
PROJECT = "6f70656e737461636b20342065766572"


class Keystone:
    """``tokens``: what it says of each.

    ``script``: what the next requests get: a status, bytes, or an Event to wait for first.
    """

    def __init__(self, url):
        self.url = f"{url}/v3"
        self.tokens, self.asked, self.script = {}, [], []

    def issue(self, *roles, project=PROJECT, user="u" * 32, seconds=3600, **changes):
        """A new token of a project, or of none."""
        token = f"gAAAAA{len(self.tokens):0>90}"
        domain = {"id": "default", "name": "Default"}
        said = {
            "methods": ["password"],
            "user": {"id": user, "name": "ada", "domain": domain, "password_expires_at": None},
            "audit_ids": ["3T2dc1CGQxyJsHdDu1xkcw"],
            "issued_at": "2023-11-14T22:13:20.000000Z",
            "expires_at": f"{datetime.fromtimestamp(ISSUED + seconds, UTC):%Y-%m-%dT%H:%M:%S.000000Z}",
        }
        if project:
            said |= {"project": {"id": project, "name": "demo", "domain": domain}, "is_domain": False}
            said["roles"] = [{"id": f"id-of-{role}", "name": role} for role in roles]
        self.tokens[token] = said | changes
        return token

    def revoke(self, token):
        del self.tokens[token]

    def answer(self, path, headers):
        """Status and document of a GET."""
        auth, subject = headers["X-Auth-Token"], headers["X-Subject-Token"]
        if path != "/v3/auth/tokens":
            return 404, error(404, "Not Found")
        if auth not in self.tokens:
            return 401, error(401, "The request you have made requires authentication.")
        restricted = (self.tokens.get(subject) or {}).get("application_credential", {}).get("access_rules")
        if subject not in self.tokens or (restricted is not None and "OpenStack-Identity-Access-Rules" not in headers):
            return 404, error(404, f"Could not find token: {subject}.")
        if auth != subject:  # rule:token_subject is by user, and no user here has the role service
            return 403, error(403, "You are not authorized to perform the requested action: identity:validate_token.")
        return 200, {"token": self.tokens[subject]}


def error(status, message):
    return {"error": {"code": status, "message": message, "title": "Refused"}}


@contextmanager
def serving_keystone():
    """Until the block ends."""

    class Handler(Replying, BaseHTTPRequestHandler):
        def do_GET(self):
            keystone.asked.append(self.headers["X-Subject-Token"])
            step = keystone.script.pop(0) if keystone.script else None
            if isinstance(step, threading.Event):
                step.wait(60)
            status, document = keystone.answer(urlsplit(self.path).path, self.headers)
            body = step if isinstance(step, bytes) else json.dumps(document).encode()
            told = {"Vary": "X-Auth-Token", "X-Subject-Token": self.headers["X-Subject-Token"] or ""}
            self.reply(step if isinstance(step, int) else status, body, told)

    with serving(Handler) as server:
        keystone = Keystone(f"http://127.0.0.1:{server.server_port}")
        yield keystone
