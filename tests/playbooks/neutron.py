"""Keystone and Neutron, as far as playbooks look, and delete: things with a name, a description and a project."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from loopback import Replying, serving

PROJECT = "a" * 32
"""Whose member the user is."""


class Neutron(Replying, BaseHTTPRequestHandler):
    """``server.things``: by kind in the plural, lists of what the user sees. ``server.gone``: ids that were deleted."""

    def do_GET(self):
        url = urlsplit(self.path)
        _, service, *path = url.path.rstrip("/").split("/")
        if len(path) < 2:
            versions = {"v3": "v3.14", "network": "v2.0"}
            link = {"rel": "self", "href": f"http://{self.headers['Host']}/{service}/" + ("v2.0/" * (service != "v3"))}
            version = {"id": versions[service], "status": "stable" if service == "v3" else "CURRENT", "links": [link]}
            return self._answer(200, {"version": version} if service == "v3" else {"versions": [version]})
        kind, wanted = path[1].replace("-", "_"), dict(parse_qsl(url.query))
        found = [one for one in self.server.things.get(kind, []) if one["id"] not in self.server.gone]
        if path[2:]:
            one = [one for one in found if one["id"] == path[2]]
            return self._answer(200, {kind.removesuffix("s"): one[0]}) if one else self._answer(404, {})
        asked = {name: value for name, value in wanted.items() if name in {"name", "description", "project_id"}}
        return self._answer(200, {kind: [one for one in found if asked.items() <= one.items()]})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        here = f"http://{self.headers['Host']}/network"
        endpoint = {"interface": "public", "region_id": "one", "region": "one", "url": here, "id": "e"}
        token = {
            "methods": ["password"],
            "user": {"id": "u", "name": "u", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": PROJECT, "name": "p", "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": "r", "name": "member"}],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "catalog": [{"type": "network", "name": "neutron", "id": "n", "endpoints": [endpoint]}],
        }
        self._answer(201, {"token": token}, {"X-Subject-Token": "t"})

    def do_DELETE(self):
        self.server.gone.append(self.path.rpartition("/")[2])
        self.send_response(204)
        self.end_headers()

    def _answer(self, status, said, headers=None):
        self.reply(status, json.dumps(said).encode(), {"Content-Type": "application/json", **(headers or {})})


@contextmanager
def answering(folder, **things):
    """The server; and ``clouds.yaml`` in the folder, whose cloud ``lab`` it is."""
    with serving(Neutron) as server:
        server.things, server.gone = things, []
        auth = {"auth_url": f"http://127.0.0.1:{server.server_port}/v3", "username": "u", "password": "p"}
        auth |= {"project_name": "p", "user_domain_name": "Default", "project_domain_name": "Default"}
        (folder / "clouds.yaml").write_text(json.dumps({"clouds": {"lab": {"auth": auth, "region_name": "one"}}}))
        yield server
