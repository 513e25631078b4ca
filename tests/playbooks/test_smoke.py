"""The smoke test sends its key, and shows it to nobody else."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playbook import run

KEY = "the key of the smoke test"
TIMES = dict.fromkeys(("received", "queued", "started", "finished"), "2026-11-21T17:59:22.765141Z")
RESULT = {
    "id": "01a1ff43-4aee-7612-a0e8-80ab2c870902",
    "name": "frog.png",
    "model": {"name": "cifar10", "version": "1"},
    "labels": [{"label": "frog", "score": 0.75}],
    "timings": TIMES,
    "digest": "0" * 64,
}


def arguments():
    """Those of every process, as any user of the machine may read them."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue


class Endpoint(BaseHTTPRequestHandler):
    """``server.status``: what an image is answered with. ``server.said``: each request's key, and who shows it."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        shown = [words for words in arguments() if KEY.encode() in words]
        self.server.said.append((self.headers["Authorization"], shown))
        good = self.server.status == 200
        body = json.dumps(RESULT if good else {"code": "forbidden", "detail": "not with this key"}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json" if good else "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def endpoint():
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        server.status, server.said = 200, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def smoke(endpoint, folder, key=KEY):
    variables = {
        "skylens_sides": ["aws"],
        "skylens_tls": "files",
        "skylens_open_door": True,
        "skylens_tls_certificate": __file__,
        "skylens_tls_key": __file__,
        "skylens_smoke_key": key,
    }
    env = {"NO_PROXY": "127.0.0.1", "SKY_API_KEY": "a key of this machine's user"}
    where = f"skylens_endpoint=http://127.0.0.1:{endpoint.server_port}"
    return run("smoke.yml", variables, env, "-vvv", "-e", where, folder=folder)


def test_its_key_is_in_no_arguments_and_in_nothing_that_is_printed(endpoint, tmp_path):
    done = smoke(endpoint, tmp_path)
    assert done.rc == 0, done.output
    assert done.stats["localhost"]["changed"] == 0
    assert "frog 0.75" in done.output
    assert endpoint.said == [(f"Bearer {KEY}", [])]
    assert KEY not in done.output


def test_an_open_door_gets_no_key(endpoint, tmp_path):
    assert smoke(endpoint, tmp_path, key="").rc == 0
    assert endpoint.said == [(None, [])]


def test_an_image_that_is_refused_is_a_failure_that_says_why(endpoint, tmp_path):
    endpoint.status = 403
    done = smoke(endpoint, tmp_path)
    assert done.rc == 2
    assert "not with this key" in done.output
    assert KEY not in done.output
