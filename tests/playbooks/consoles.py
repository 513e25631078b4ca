"""What cloud-init writes to a machine's console, and the two clouds' APIs as far as they give it."""

import base64
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

from loopback import Replying, serving
from playbook import PLAYBOOKS

ROLE = PLAYBOOKS / "roles" / "skylens"
INSTANCE = "i-0123456789abcdef0"
TEXT = """\
[    1.2] systemd[1]: Started ssh.service\r
<14>Nov 29 10:00:00 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----\r
<14>Nov 29 10:00:00 cloud-init: 256 SHA256:abc root@web-1 (ED25519)\r
<14>Nov 29 10:00:00 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----\r
-----BEGIN SSH HOST KEY KEYS-----\r
{keys}\r
-----END SSH HOST KEY KEYS-----\r
[   20.1] cloud-init[400]: finished\r
"""
OUTPUT = """\
<GetConsoleOutputResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>
<instanceId>%s</instanceId><timestamp>2026-01-01T00:00:00.000Z</timestamp><output>%s</output>
</GetConsoleOutputResponse>"""


def console(*keys):
    return TEXT.format(keys="\r\n".join(keys))


class Answering(Replying, BaseHTTPRequestHandler):
    def answer(self, body, kind="application/json"):
        self.reply(200, body, {"Content-Type": kind})

    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"])).decode()


class Ec2(Answering):
    """``server.text``: the console's, as EC2's API reference has it. ``server.asked``: the last question."""

    def do_POST(self):
        self.server.asked = parse_qs(self.body())
        output = base64.b64encode(self.server.text.encode()).decode()
        self.answer((OUTPUT % (INSTANCE, output)).encode(), "text/xml")


class Nova(Answering):
    """``server.text``: by the id of a server, its console's. All of them are in the list, as the deployment's."""

    def do_GET(self):
        if self.path.startswith("/servers/detail"):
            said = {"servers": [_server(one) for one in self.server.text] if "marker" not in self.path else []}
        else:
            here = [{"rel": "self", "href": f"http://127.0.0.1:{self.server.server_port}/"}]
            versions = {"version": "2.1", "min_version": "2.1"}
            said = {"version": {"id": "v2.1", "status": "CURRENT", **versions, "links": here}}
        self.answer(json.dumps(said).encode())

    def do_POST(self):
        assert "os-getConsoleOutput" in json.loads(self.body())
        self.answer(json.dumps({"output": self.server.text[self.path.split("/")[2]]}).encode())


def _server(one):
    address = {"addr": "192.0.2.7", "version": 4, "OS-EXT-IPS:type": "fixed"}
    metadata = {"skylens:deployment": "skylens", "skylens:tier": "web"}
    return {"id": one, "name": f"name-{one}", "status": "ACTIVE", "metadata": metadata, "addresses": {"net": [address]}}


@contextmanager
def answering(handler, text):
    with serving(handler) as server:
        server.text = text
        yield server


def environment(server):
    """Of a play that asks this EC2. It names no region: the play has to."""
    return {
        "ANSIBLE_LIBRARY": str(ROLE / "library"),
        "ANSIBLE_MODULE_UTILS": str(ROLE / "module_utils"),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "NO_PROXY": "127.0.0.1",
    }
