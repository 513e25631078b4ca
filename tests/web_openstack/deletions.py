"""Deletion's scene: web nodes that remember answers, and all that may bring one back."""

import threading

from web_tier import picture

from skylens.fakes import FakeQueue
from skylens.messages import read
from web_openstack.deadletters import DeadLetters
from web_openstack.deleted import Tombstone, tombstone
from web_openstack.deletion import Deletions
from web_openstack.refill import Refill
from web_openstack.unstored import Unstored

PNG = {"Content-Type": "image/png"}
ASYNC = PNG | {"Prefer": "respond-async"}


def remembering(web):
    """It knows that no model was ever activated, so it answers from memory."""
    web.deps.jobs.cache.follow(None)
    return web


def beside(web, other):
    """Let another node use the same buckets and queue."""
    other.clock.sleep(0.001)  # or its ids were the first one's
    for store in ("inputs", "outputs", "state"):
        getattr(other, store).objects = getattr(web, store).objects
    other.requests.messages, other.requests._ids = web.requests.messages, web.requests._ids
    other.deps.jobs.cache.follow(None)
    return other


def take_in(web, width=4, **headers):
    """An image that is queued; its request."""
    web.client.simulate_post("/v1/images", body=picture(size=(width, 3)), headers=ASYNC | headers)
    return web.taken()[-1]


def made(web, request):
    """What a worker answers, not stored."""
    before = dict(web.outputs.objects)
    reply = web.reply(request)
    web.outputs.objects.clear()
    web.outputs.objects.update(before)
    return reply


def answered(web, width=4):
    """An image whose answer is stored and has come."""
    request = take_in(web, width)
    web.deps.jobs.settle(web.reply(request))
    web.requests.messages.clear()
    return request


def delete(web, job, **headers):
    return web.client.simulate_delete(f"/v1/images/{job}", headers=headers)


def ask(web, job):
    found = web.client.simulate_get(f"/v1/images/{job}")
    return found.status_code, found.json.get("code")


def is_whole(web, job):
    """Whether its deletion was done to the end, and nothing is left in the place of its outcome but that."""
    return read(Tombstone, web.outputs.objects[f"default/{job}.json"][0]) == tombstone(job, "default", whole=True)


def is_remembered(web, job):
    """Whether this process has its answer."""
    cached = {(entry.job, key.tenant) for key, entry in web.deps.jobs.cache._entries.items()}
    assert cached == set(web.deps.jobs.cache._places)
    return (job, "default") in cached or web.deps.jobs.recent.get(job, "default") is not None


def letters(web):
    clock = web.clock.clock()
    return DeadLetters(
        FakeQueue(clock), web.queues, web.state, web.outputs, Unstored(web.outputs, clock), clock, web.deps.metrics
    )


def records(web):
    return [key for key in web.state.objects if key.startswith("dead/")]


def unsent(web):
    """As if the door had died before it noted that the job is queued."""
    for key, (data, *rest) in web.state.objects.items():
        web.state.objects[key] = (data.replace(b'"sent":true', b'"sent":false'), *rest)


def refill(web):
    return Refill(web.deps.jobs.cache, web.state, web.outputs, ("default",), web.deps.jobs.clock)


def hears(web):
    return Deletions(web.deps.jobs, web.state)


def waiting(web, send):
    """A client that waits in a thread of its own; its answers."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(send()))
    thread.start()
    while not web.deps.jobs.waiters._held:
        assert thread.is_alive()
        threading.Event().wait(0.005)
    return thread, answers
