"""A web tier over fakes."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from deletions import beside
from falcon import testing
from web_tier import Web

from skylens.clock import FakeClock
from skylens.fakes import FakeQueue, FakeQueues, FakeStore
from skylens.settings import WebSettings, load
from web_openstack import server
from web_openstack.app import Deps, create_app, create_internal_app
from web_openstack.tokens import Tokens


@pytest.fixture
def make_web():
    """Build a web tier with some settings of its own.

    ``ring``: gives the keys file's content, if it is to have one; ``vouched``: of settings and clock, what is taken
    beside keys; ``fake``: the clock.
    """

    def make(ring=None, vouched=lambda settings, clock: Tokens(), fake=None, **settings):
        fake = fake or FakeClock()
        clock = fake.clock()
        stores = [FakeStore(clock) for _ in range(3)]
        requests = FakeQueue(clock)
        counter = itertools.count(1)

        def new_id():
            return str(UUID(int=int(fake.now() * 1000) << 80 | 7 << 76 | 2 << 62 | next(counter)))

        loaded = load(WebSettings, node="web-1", **settings)
        deps = Deps.of(
            loaded,
            inputs=stores[0],
            outputs=stores[1],
            state=stores[2],
            requests=requests,
            calls=ThreadPoolExecutor(4),
            clock=clock,
            new_id=new_id,
            in_touch=lambda: True,
            ring=ring,
            vouched=vouched(loaded, clock),
        )
        queues = FakeQueues(clock=clock)
        queues.ensure("skylens-replies-web-1", {}, 60)
        here = {"Host": "localhost"}
        client = testing.TestClient(create_app(deps), headers=here)
        internal = testing.TestClient(create_internal_app(deps), headers=here)
        return Web(deps, fake, *stores, requests, queues, client, internal)

    return make


@pytest.fixture
def web(make_web):
    return make_web()


@pytest.fixture
def other(web, make_web):
    """Another web node of the same deployment."""
    return beside(web, make_web())


@pytest.fixture
def serve():
    """Start a web tier on a free port; stops at the end."""
    running = []

    def start(web, at="127.0.0.1:0", **changes):
        s = web.deps.settings
        options = {"slots": s.max_waits, "max_body": s.max_body_bytes, "trusted_proxy": s.trusted_proxy} | changes
        made = server.public(create_app(web.deps), at, **options)
        thread = threading.Thread(target=made.serve, args=(web.deps.drain, 20))
        thread.start()
        running.append((made, thread))
        return made, thread

    yield start
    for made, thread in running:
        if thread.is_alive():
            made.stop()
        thread.join(30)
        assert not thread.is_alive()
