"""Tiny programs in place of the tiers, to test the embedded cloud by itself: ``standins.py web|worker|scaler``.

Run as ``standins.py up ...`` this is ``skylens up`` with the stand-ins for its tiers.
"""

import json
import os
import signal
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STANDIN_UP = [sys.executable, str(Path(__file__).resolve()), "up"]

FOREIGN = {
    "AWS_PROFILE": "my-company",
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_SESSION_TOKEN": "real",
    "AWS_ENDPOINT_URL": "https://real.example",
    "AWS_ENDPOINT_URL_EC2": "https://real.example",
    "AWS_CONFIG_FILE": "/nowhere/real",
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/real",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "http_proxy": "http://127.0.0.1:1",
    "SKYLENS_DEPLOYMENT": "production",
    "SKYLENS_INPUT_BUCKET": "production-images",
    "PERSIST_STATE": "1",
}
"""What a user may have set; every test with a cloud runs in spite of it."""


def tell(record):
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def programs():
    return {tier: [sys.executable, __file__, tier] for tier in ("web", "worker", "scaler")}


def web():
    """Answers what the embedded cloud waits for; ``/v1/status`` shows a fleet at once."""
    if "refuse" in os.environ.get("SKYLENS_RATE_LIMIT", ""):
        sys.exit("SKYLENS_RATE_LIMIT=refuse: not a rate")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            data = json.dumps({"fleet": {"desired": 0}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    servers = [
        ThreadingHTTPServer((host, int(port)), Handler)
        for host, port in (os.environ[name].split(":") for name in ("SKYLENS_INTERNAL_LISTEN", "SKYLENS_LISTEN"))
    ]
    tell(dict(os.environ))
    threading.Thread(target=servers[0].serve_forever, daemon=True).start()
    servers[1].serve_forever()


def scaler():
    tell(dict(os.environ))
    threading.Event().wait()


def worker():
    """Prints its environment and what its metadata say, then leaves with 0 on SIGTERM or when tagged draining."""
    metadata = Metadata(os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"])
    told = {"environment": dict(os.environ), "id": metadata.get("meta-data/instance-id")}
    told["user_data"] = metadata.get("user-data")
    tell(told)
    leave = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while not leave.wait(0.1):
        if metadata.get("meta-data/tags/instance/skylens:state") == "draining":
            leave.set()


class Metadata:
    def __init__(self, endpoint):
        self._endpoint = endpoint
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        self._token = self._ask(urllib.request.Request(f"{endpoint}/latest/api/token", method="PUT", headers=headers))

    def get(self, path):
        headers = {"X-aws-ec2-metadata-token": self._token}
        return self._ask(urllib.request.Request(f"{self._endpoint}/latest/{path}", headers=headers))

    def _ask(self, request):
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return f"HTTP {error.code}"


def up(arguments):
    from skylens.cli import main
    from skylens.local import tiers

    tiers.program = lambda tier: programs()[tier]
    sys.exit(main(["up", *arguments]))


if __name__ == "__main__":
    if sys.argv[1] == "up":
        up(sys.argv[2:])
    else:
        {"web": web, "worker": worker, "scaler": scaler}[sys.argv[1]]()
