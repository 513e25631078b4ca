"""A worker's parts on fakes, and patience without sleeping."""

import hashlib
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from app_aws.task import Recogniser
from skylens.clock import FakeClock
from skylens.errors import UndecodableImageError
from skylens.fakes import FakeQueue, FakeQueues, FakeStore
from skylens.messages import Model, Reply, Request, encode, read

PATIENCE = 10.0
"""Real seconds after which a condition is believed never to come."""


def several(make, close):
    """For a fixture that makes things on demand: yields the maker, and closes each one made at the end."""
    made = []

    def one(**options):
        made.append(make(**options))
        return made[-1]

    yield one
    for each in made:
        close(each)


def until(condition, what="the condition"):
    """Wait for it, in small steps, and fail when it does not come."""
    end = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"{what} did not come true"
        pause.wait(0.005)


class FakeEngine:
    """Sees in each image the label that its bytes spell; ``bad`` cannot be decoded, ``bug`` breaks."""

    labels = ("cat", "dog", "bug")
    model = Model(name="fake", version="1")

    def prepare(self, data):
        if data.startswith(b"bad"):
            raise UndecodableImageError("The image is damaged")
        return np.array([data.startswith(label.encode()) for label in self.labels], np.float32)

    def infer(self, batch):
        if any(image[2] for image in batch):
            raise RuntimeError("the model broke")
        return np.stack(batch)


@dataclass
class OneModel:
    """Picks the same model for each request."""

    engine: FakeEngine
    submit: object

    @contextmanager
    def pick(self, request_id):
        yield self


def at_once(call, *arguments):
    """The future of a call that was made here and now; what it raises is kept for who asks for the result."""
    done = Future()
    try:
        done.set_result(call(*arguments))
    except BaseException as error:  # noqa: BLE001 - a kill too
        done.set_exception(error)
    return done


@dataclass
class Bench:
    """One deployment in memory, with one recogniser at work on it."""

    time: FakeClock = field(default_factory=FakeClock)
    engine: FakeEngine = field(default_factory=FakeEngine)

    def __post_init__(self):
        self.clock = self.time.clock()
        self.dead = FakeQueue(self.clock)
        self.requests = FakeQueue(self.clock, dead=self.dead)
        self.replies = FakeQueue(self.clock)
        self.queues = FakeQueues({"replies-web": self.replies}, clock=self.clock)
        self.inputs, self.outputs = FakeStore(self.clock), FakeStore(self.clock)
        self.inferred = []

    def recogniser(self, models=None):
        return Recogniser(
            requests=self.requests,
            dead=self.dead,
            replies=self.queues,
            inputs=self.inputs,
            outputs=self.outputs,
            models=models or OneModel(self.engine, self.infer),
            instance="i-1",
            clock=self.clock,
            stores=self,
        )

    def submit(self, call, *arguments):
        """An executor that runs at once."""
        return at_once(call, *arguments)

    def infer(self, prepare, tenant):
        """A batcher that works at once, in the caller's thread."""
        self.inferred.append(tenant)
        return at_once(lambda: self.engine.infer([prepare()])[0])

    def ask(self, data=b"cat", name="one", *, rides=False, **changes):
        """Store an image and send its request. ``rides``: with the image in it."""
        self.inputs.put(f"t/{name}", data, "image/png")
        usual = {
            "id": name,
            "key": f"t/{name}",
            "digest": hashlib.sha256(data).hexdigest(),
            "reply_to": "replies-web",
            "received": self.clock.now() - 2,
            "deadline": self.clock.now() + 600,
            "name": f"{name}.png",
            "tenant": "t",
            "data": data if rides else b"",
        }
        request = Request(**{**usual, **changes})
        self.requests.send(encode(request))
        return request

    def answers(self):
        """What lies on the reply queue."""
        return [read(Reply, message.body) for message in self.replies.messages.values()]

    def stored(self, name="one"):
        return read(Reply, self.outputs.objects[f"t/{name}.json"][0])
