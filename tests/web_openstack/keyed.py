"""A web tier with keys, over real HTTP: keys of every kind, and a server on a free port."""

import http.client
import secrets
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from web_openstack import server
from web_openstack.app import create_app
from web_openstack.callers import SCOPES
from web_openstack.gate import Gate
from web_openstack.keyring import Keyring
from web_openstack.keys import make

NOW = datetime.fromtimestamp(1_700_000_000, UTC)
"""When the fake clock begins."""
DAY = timedelta(days=1)


class Keys:
    """A keyring, and the keys themselves by names of the test's own."""

    def __init__(self):
        self.ring, self.secrets = Keyring(), {}

    def add(self, name, tenant="acme", scopes=SCOPES, **fields):
        """A new key; returns it."""
        entry, key = make(self.ring, secrets.token_hex, tenant=tenant, scopes=scopes, created=NOW, **fields)
        self.ring, self.secrets[name] = self.ring.adding(entry), key
        return key

    def id(self, name):
        return self.secrets[name].split("_")[1]


def header(key):
    return {"Authorization": f"Bearer {key}"} if key else {}


@contextmanager
def serving(web):
    """The public application behind its gate, as ``main`` serves it; its port."""
    s = web.deps.settings
    made = server.public(
        create_app(web.deps),
        "127.0.0.1:0",
        slots=s.max_waits,
        max_body=s.max_body_bytes,
        trusted_proxy=s.trusted_proxy,
        gate=Gate(web.deps.callers),
        room=web.deps.room,
        memory=web.deps.memory,
    )
    thread = threading.Thread(target=made.serve, args=(web.deps.drain, 20))
    thread.start()
    try:
        yield int(made.effective_port)
    finally:
        made.stop()
        thread.join(30)
        assert not thread.is_alive()


def ask(port, method, path, body=None, headers=None):
    """Status, headers and body of one request on a connection of its own."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        link.request(method, path, body, headers or {})
        answer = link.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        link.close()


def until(condition):
    for _ in range(3000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to pass")
