"""A scripted stand-in for the web tier, served on loopback."""

import hashlib
import json
import re
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

RESET = "reset"
STATUS = {
    "node": "web-1",
    "time": 1_700_000_000.0,
    "predicted_wait": 1.5,
    "demand": {"outstanding": 3, "oldest": 2.5, "arrivals": [0, 10, 20, 5], "completions": [0, 10, 10, 1]},
    "queue": {"visible": 2, "in_flight": 1},
    "fleet_age": 0.4,
    "fleet": {
        "policy": "greedy",
        "desired": 2,
        "minimum": 0,
        "maximum": 20,
        "reason": "3 outstanding",
        "boot_seconds": 60.0,
        "slots": 4,
        "workers": [{"instance": "i-1", "state": "busy", "age": 12.0, "in_flight": 3, "done": 40, "new": "field"}],
    },
}


def problem(status, code, detail, **headers):
    body = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code}
    return status, body, {"Content-Type": "application/problem+json", **headers}


def result(name, digest, number=0):
    moment = "2026-01-02T03:04:05"
    return {
        "id": hashlib.sha256(name.encode()).hexdigest()[:12],
        "name": name,
        "model": {"name": "cifar10", "version": "1"},
        "labels": [{"label": f"label-{digest[:8]}", "score": 0.75}, {"label": "other", "score": 0.25}],
        "timings": {
            "received": f"{moment}.000Z",
            "queued": f"{moment}.010Z",
            "started": f"{moment}.020Z",
            "finished": f"{moment}.123Z",
        },
        "digest": digest,
    }


@dataclass
class Service:
    """Answers each image as scripted by its name, and 200 once the script is used up.

    Owned by its fixture, which closes it; its threads are daemons and answer one connection each.
    """

    script: dict = field(default_factory=lambda: defaultdict(deque))
    posts: list = field(default_factory=list)
    """(file name, idempotency key, digest, headers) of each image that came in whole, in order of arrival."""
    polls: list = field(default_factory=list)
    answered: int = 0
    hold_after: int | None = None
    """Answer so many images, and let the others wait until ``release`` is set."""
    release: threading.Event = field(default_factory=threading.Event)
    key: str = ""
    status: object = field(default_factory=lambda: (200, STATUS, {}))
    lock: threading.Lock = field(default_factory=threading.Lock)
    results: dict = field(default_factory=dict)
    url: str = ""

    def times(self):
        return Counter(name for name, *_ in self.posts)

    def post(self, name, data, headers):
        digest = hashlib.sha256(data).hexdigest()
        with self.lock:
            self.posts.append((name, headers["Idempotency-Key"], digest, dict(headers)))
            found = result(name, digest)
            self.results[found["id"]] = found
            if self.key and headers.get("Authorization") != f"Bearer {self.key}":
                return problem(401, "unauthorised", "this API key is not known here")
            if self.script[name]:
                return self.script[name].popleft()
            held = self.hold_after is not None and self.answered >= self.hold_after
            self.answered += 1
        if held:
            self.release.wait(60)
        return 200, found, {}

    def get(self, path):
        job = path.partition("?")[0].rpartition("/")[2]
        with self.lock:
            self.polls.append(path)
            if self.script[path.partition("?")[0]]:
                return self.script[path.partition("?")[0]].popleft()
            found = self.results.get(job)
        return (200, found, {}) if found else problem(404, "not-found", f"no job {job}")

    def delete(self, path):
        with self.lock:
            found = self.results.pop(path.rpartition("/")[2], None)
        return (204, b"", {}) if found else problem(404, "not-found", "no such job here")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
        head, _, data = body.partition(b"\r\n\r\n")
        name = re.search(rb'filename="([^"]*)"', head)[1].decode()
        self.answer(self.server.service.post(name, data.removesuffix(b"\r\n--" + boundary + b"--\r\n"), self.headers))

    def do_DELETE(self):
        self.answer(self.server.service.delete(self.path))

    def do_GET(self):
        service = self.server.service
        self.answer(service.status if self.path == "/v1/status" else service.get(self.path))

    def answer(self, answer):
        if answer == RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        status, body, headers = answer
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for header, value in {"Content-Type": "application/json", "Content-Length": len(data), **headers}.items():
            self.send_header(header, str(value))
        self.end_headers()
        self.wfile.write(data)

    def handle(self):
        try:
            super().handle()
        except OSError:  # the client was killed, or this end reset the connection
            self.close_connection = True

    def finish(self):
        try:
            super().finish()
        except OSError:
            self.close_connection = True

    def log_message(self, *args):
        pass


def journals(home):
    return list((home / "state" / "skylens").glob("*.jsonl"))


ENTRY = """
import signal, sys
from skylens.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""
"""The ``skylens`` command, hearing SIGINT even if the process that runs the tests was told to ignore it."""


def start(*words):
    """The command as a process of its own, its output in pipes."""
    return subprocess.Popen(
        [sys.executable, "-uc", ENTRY, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
