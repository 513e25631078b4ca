"""The scripted service, some pictures, and a home of its own for each test."""

import threading
from http.server import ThreadingHTTPServer

import pytest

from tests.cli.scripted import Handler, Service


@pytest.fixture
def service():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        server.service = Service(url=f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.service
        server.service.release.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """No key, no proxy and no journal from outside the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("SKY_API_KEY", raising=False)
    return tmp_path


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures, three of them in a folder below, among files that are none."""
    top = tmp_path / "pictures"
    (top / "below").mkdir(parents=True)
    (top / ".hidden").mkdir()
    for number in range(12):
        place = top / "below" if number >= 9 else top
        kind = ("png", "JPG", "jpeg", "webp")[number % 4]
        (place / f"p{number:02}.{kind}").write_bytes(f"picture {number}".encode() * 1000)
    for other in ("notes.txt", ".hidden.png", ".hidden/p.png", "run.jsonl"):
        (top / other).write_text("no picture")
    return top
