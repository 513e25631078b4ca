"""The webhooks' scene: a web tier that sends to a receiver of the test's own, in the test's own thread and time."""

import json

from receivers import SECRET
from web_tier import picture

from web_openstack.batches import Batches
from web_openstack.webhooks import signature
from web_openstack.webhooks.courier import Courier, Delivery
from web_openstack.webhooks.events import Events
from web_openstack.webhooks.target import HEADER, Rules

URL = "https://receiver.example/hook?token=s3cret"
TOLD = {HEADER: URL}
PNG = {"Content-Type": "image/png"}
SETTING = f"default:{SECRET}"


class Inline:
    """An executor that does it now."""

    def submit(self, work, *arguments):
        work(*arguments)


class Receiver:
    """``outcomes``: status or exception of each attempt, the last one stays; ``got``: target, headers, body of each."""

    def __init__(self, *outcomes):
        self.outcomes, self.got = list(outcomes or (204,)), []
        self.meanwhile = lambda: None

    def __call__(self, target, headers, body):
        self.got.append((target, dict(headers), body))
        self.meanwhile()
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    @property
    def events(self):
        return [json.loads(body) for _, _, body in self.got]

    @property
    def ids(self):
        return [headers["webhook-id"] for _, headers, _ in self.got]


def courier(web, receiver, **changes):
    """Of a web node that has just started, and has not listed anything yet."""
    jobs, clock = web.deps.jobs, web.deps.jobs.clock
    given = {
        "hooks": web.deps.hooks,
        "events": Events(jobs, Batches(web.state, jobs, 1000), web.deps.answers),
        "secrets": signature.keys([SETTING]),
        "rules": Rules(),
        "send": receiver,
        "metrics": web.deps.metrics,
        "clock": clock,
        "chance": lambda: 0.5,
    }
    return Courier(Delivery(**given | changes), web.deps.hooks.agenda, Inline(), clock)


def turns(node, web, seconds, step=1.0):
    """Let it work for so long."""
    for _ in range(int(seconds / step)):
        node.turn()
        web.clock.sleep(step)
    node.turn()


def post(web, width=4, **headers):
    """An image with a webhook; the answer."""
    return web.client.simulate_post("/v1/images", body=picture(size=(width, 3)), headers=PNG | TOLD | headers)


def answer(web, failure=None):
    """The workers answer all that waits."""
    for request in web.taken():
        web.deps.jobs.settle(web.reply(request, failure=failure))
    web.requests.messages.clear()


def pending(web):
    """The keys of webhooks in the bucket."""
    return sorted(key for key in web.state.objects if key.startswith("webhooks/"))


def count(web, outcome):
    return web.deps.metrics.registry.get_sample_value("skylens_web_webhooks_total", {"outcome": outcome}) or 0
