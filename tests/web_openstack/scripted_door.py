"""A door of answers written beforehand, for the page's tests: the public API's contract under the strict CSP."""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

FILES = Path(__file__).parents[2] / "web_openstack" / "page"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Answer:
    """What the door says to one request for an image; a label makes it a result."""

    status: int = 200
    label: str = ""
    detail: str = ""
    retry_after: str = ""


WORKING = Answer(202)


def problem(status: int, detail: str, retry_after: str = "") -> Answer:
    return Answer(status, detail=detail, retry_after=retry_after)


def result(job: str, name: str, label: str) -> dict[str, object]:
    stamps = {"received": "00.000", "queued": "00.012", "started": "00.200", "finished": "00.312"}
    return {
        "id": job,
        "name": name,
        "model": {"name": "cifar10", "version": "1"},
        "labels": [{"label": label, "score": 0.91}] + [{"label": f"other {n}", "score": 0.02} for n in range(4)],
        "timings": {key: f"2026-01-02T03:04:{value}Z" for key, value in stamps.items()},
        "digest": "0" * 64,
    }


def worker(number: int, state: str, in_flight: int = 0) -> dict[str, object]:
    return {
        "instance": f"i-{number:017x}",
        "state": state,
        "age": 4.0 * number,
        "in_flight": in_flight,
        "done": 7 * number,
    }


def status(
    workers: list[dict[str, object]] | None = None, *, outstanding: int = 0, age: float = 0.4
) -> dict[str, object]:
    """The answer of ``/v1/status``; without workers, no autoscaler has reported yet."""
    fleet = None
    if workers is not None:
        fleet = {"policy": "greedy", "desired": len(workers), "minimum": 0, "maximum": 8, "workers": workers}
        fleet |= {"reason": f"{outstanding} outstanding / 4 an instance", "boot_seconds": 12.0, "slots": 4}
    arrivals = [second % 7 for second in range(120)]
    return {
        "node": "web-1",
        "time": 1_767_323_000.0,
        "demand": {"outstanding": outstanding, "oldest": 1.5, "arrivals": arrivals, "completions": arrivals},
        "fleet": fleet,
        "fleet_age": None if fleet is None else age,
        "queue": {"visible": 3, "in_flight": 2},
        "predicted_wait": 0.8,
        "model": "",
    }


@dataclass
class Door:
    """A web tier of answers written beforehand. Request threads share it; ``lock`` guards what they count."""

    script: dict[str, list[Answer]] = field(default_factory=dict)
    """File name -> answers to the POST and then to each GET; without an entry the image is recognised at once."""
    status: dict[str, object] = field(default_factory=status)
    key: str = ""
    """When set, requests without this API key get 401."""
    silent: bool = False
    """Drop connections to ``/v1/status``, as a door that died does."""
    open: threading.Event = field(default_factory=threading.Event)
    """While clear, nothing is recognised: a waiting client waits."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    names: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    asked: int = 0
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.open.set()
        self.ids = itertools.count(1)

    def submit(self, name: str, key: str, prefer: str) -> tuple[str, Answer]:
        with self.lock:
            job = f"job-{next(self.ids)}"
            self.names[job] = name
            self.keys.append(key)
        busy = not self.open.is_set() or "respond-async" in prefer
        return job, WORKING if busy and name not in self.script else self.next(job)

    def next(self, job: str) -> Answer:
        """The next answer for a job; the last of its script stays."""
        with self.lock:
            planned = self.script.get(self.names[job], [])
            return (planned.pop(0) if len(planned) > 1 else planned[0]) if planned else Answer(label=self.names[job])

    def look(self, job: str, wait: float) -> Answer:
        return self.next(job) if self.open.wait(wait) else WORKING

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request in progress; it ends before its answer is sent, for that is when the page may send more."""
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self.lock:
                self.at_once -= 1


class Handler(BaseHTTPRequestHandler):
    """The public routes that the page uses."""

    protocol_version = "HTTP/1.1"
    door: Door

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        if where.path == "/" or where.path.startswith("/page/"):
            self.file("index.html" if where.path == "/" else where.path.removeprefix("/page/"))
        elif self.door.key and self.headers.get("Authorization") != f"Bearer {self.door.key}":
            self.answer("", problem(401, "A valid API key or token is needed"))
        elif where.path == "/v1/status":
            self.tell_status()
        else:
            job = where.path.removeprefix("/v1/images/")
            with self.door.counted():
                found = self.door.look(job, float(parse_qs(where.query)["wait"][0]))
            self.answer(job, found)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/images?top=5"
        if self.door.key and self.headers.get("Authorization") != f"Bearer {self.door.key}":
            return self.answer("", problem(401, "A valid API key or token is needed"))
        found = re.search(rb'filename="([^"]*)"', body)
        assert found is not None
        name = found[1].decode().replace("%22", '"')
        with self.door.counted():
            job, answer = self.door.submit(name, self.headers["Idempotency-Key"], self.headers["Prefer"])
        return self.answer(job, answer)

    def tell_status(self) -> None:
        self.door.asked += 1
        if self.door.silent:
            self.close_connection = True
        else:
            self.send(200, json.dumps(self.door.status).encode(), "application/json")

    def answer(self, job: str, answer: Answer) -> None:
        headers = {"Retry-After": answer.retry_after} if answer.retry_after else {}
        if answer.status == 200:
            body, kind = result(job, self.door.names[job], answer.label), "application/json"
        elif answer.status == 202:
            body, kind = {"id": job, "status": "working"}, "application/json"
            headers["Location"] = f"/v1/images/{job}"
        else:
            body = {"type": "about:blank", "title": "no", "status": answer.status, "detail": answer.detail, "code": "x"}
            kind = "application/problem+json"
        self.send(answer.status, json.dumps(body).encode(), kind, headers)

    def file(self, name: str) -> None:
        path = FILES / name
        self.send(200, path.read_bytes(), TYPES[path.suffix], {"X-Content-Type-Options": "nosniff"})

    def send(self, code: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for key, value in {"Content-Type": kind, "Content-Security-Policy": CSP, **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(door: Door) -> Iterator[str]:
    """Serve on a free loopback port; yields the address. One daemon thread a connection; the server's own is joined."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"door": door}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        door.open.set()
        server.shutdown()
        server.server_close()
        thread.join()
