"""Keystone and Nova on loopback, as far as one application credential may use them, by their API references.

Keystone gives a token for the application credential; Nova lists servers in pages, in the microversion asked for, and
refuses with 403 whatever the credential's one access rule, ``GET /v2.1/servers/detail``, does not allow.
"""

import http.server
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from skylens.errors import UnavailableError
from skylens.messages import decode
from skylens.nova import Server

CREDENTIAL, SECRET = "21dced0fd20347869b93710d2b98aae0", "the-secret-itself"
ELSEWHERE = "http://nova.invalid:8774"
"""What the links of the lists point to: a host that only the cloud itself could reach."""


def raw(name="web-1", address="10.0.0.4", *, status="ACTIVE", port=None, **changes):
    """A server as Nova lists it: ours, with a fixed and a floating address, unless ``changes`` say another."""
    metadata = {"skylens:deployment": "skylens", "skylens:tier": "web"}
    return {
        "id": f"5e0f3c1a-0000-4000-8000-{name.encode().hex():0>12.12}",
        "name": name,
        "status": status,
        "tenant_id": "6f70656e737461636b20342065766572",
        "created": "2026-01-01T00:00:00Z",
        "OS-EXT-STS:vm_state": status.lower(),
        "metadata": metadata | ({"skylens:internal-port": str(port)} if port else {}),
        "addresses": {
            "private": [
                {"addr": "fd00::4", "version": 6, "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "aa:bb"},
                {"addr": address, "version": 4, "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "aa:bb"},
                {"addr": "203.0.113.9", "version": 4, "OS-EXT-IPS:type": "floating", "OS-EXT-IPS-MAC:mac_addr": "a"},
            ]
        },
        **changes,
    }


def server(*arguments, **named):
    """The same, as it is read."""
    return decode(Server, json.dumps(raw(*arguments, **named)))


@dataclass
class ScriptedNova:
    """Nova without a network. ``down``: it does not answer."""

    shown: list = field(default_factory=list)
    down: bool = False
    asked: int = 0

    def servers(self):
        self.asked += 1
        if self.down:
            raise UnavailableError("Nova did not list its servers: down")
        return list(self.shown)


class OpenStack(http.server.ThreadingHTTPServer):
    """``shown``: servers as ``raw`` makes them; ``page``: most in one answer; ``script``: what the next lists are.

    An entry of ``script`` is a status, or bytes to answer with 200, or an Event to wait for first.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.shown, self.page, self.script = [], 1000, []
        self.tokens, self.issued, self.calls, self.versions = set(), 0, [], set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def clouds(self, folder, secret=SECRET):
        """A clouds.yaml for it, as a service's credential: a file of any name."""
        file = folder / "clouds"
        auth = {"auth_url": f"{self.url}/v3", "application_credential_id": CREDENTIAL}
        auth["application_credential_secret"] = secret
        entry = {"auth_type": "v3applicationcredential", "auth": auth, "region_name": "RegionOne"}
        file.write_text(json.dumps({"clouds": {"private": entry}}))
        return file

    def listed(self):
        """How often servers were asked for."""
        return sum(path.startswith("/v2.1/servers/detail") for _, path, _ in self.calls)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, token = urlsplit(self.path).path.rstrip("/"), self.headers["X-Auth-Token"]
        self.server.calls.append(("GET", self.path, token))
        if path == "/v3":
            return self.answer(200, {"version": self.version("v3", "stable", id="v3.14")})
        if path == "/v2.1":
            return self.answer(200, {"version": self.version("v2.1", "CURRENT", version="2.93", min_version="2.1")})
        if token not in self.server.tokens:
            return self.answer(401, {"error": {"message": "The request you have made requires authentication."}})
        if path != "/v2.1/servers/detail":
            return self.answer(403, {"forbidden": {"message": "not allowed by the access rules"}})
        return self.list()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls.append(("POST", self.path, None))
        given = body["auth"]["identity"]["application_credential"]
        if self.path != "/v3/auth/tokens" or given != {"id": CREDENTIAL, "secret": SECRET}:
            return self.answer(401, {"error": {"message": "The request you have made requires authentication."}})
        self.server.issued += 1
        token = f"token-{self.server.issued}"
        self.server.tokens.add(token)
        return self.answer(201, {"token": self.token()}, {"X-Subject-Token": token})

    def token(self):
        endpoint = {"id": "e", "interface": "public", "region": "RegionOne", "region_id": "RegionOne"}
        endpoint["url"] = f"{self.server.url}/v2.1"
        rule = {"service": "compute", "method": "GET", "path": "/v2.1/servers/detail"}
        return {
            "methods": ["application_credential"],
            "user": {"id": "u", "name": "demo", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": "p", "name": "demo", "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": "r", "name": "reader"}],
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2126-01-01T00:00:00.000000Z",
            "audit_ids": ["a"],
            "application_credential": {"id": CREDENTIAL, "name": "c", "restricted": True, "access_rules": [rule]},
            "catalog": [{"id": "s", "type": "compute", "name": "nova", "endpoints": [endpoint]}],
        }

    def version(self, path, status, **more):
        link = {"rel": "self", "href": f"{self.server.url}/{path}/"}
        return {"id": path, "status": status, "updated": "2013-07-23T11:33:21Z", "links": [link], **more}

    def list(self):
        self.server.versions.add(self.headers["OpenStack-API-Version"])
        step = self.server.script.pop(0) if self.server.script else 200
        if isinstance(step, threading.Event):
            step.wait(60)
            step = 200
        if isinstance(step, bytes):
            return self.answer(200, step)
        if step != 200:
            return self.answer(step, {"computeFault": {"code": step, "message": "went wrong"}})
        wanted = parse_qs(urlsplit(self.path).query)
        ids = [each["id"] for each in self.server.shown]
        first = ids.index(wanted["marker"][0]) + 1 if "marker" in wanted else 0
        shown, rest = self.server.shown[first:][: self.server.page], self.server.shown[first + self.server.page :]
        href = f"{ELSEWHERE}/v2.1/servers/detail?marker={shown[-1]['id']}" if rest else ""
        return self.answer(
            200, {"servers": shown} | ({"servers_links": [{"rel": "next", "href": href}]} if rest else {})
        )

    def answer(self, status, body, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(data), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving_openstack():
    """Serve on a thread of its own until the block ends."""
    with OpenStack() as cloud:
        thread = threading.Thread(target=cloud.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield cloud
        finally:
            cloud.shutdown()
            thread.join()
