"""A web tier over fakes: the whole application, no network, a clock that tests turn."""

import io
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from falcon import testing
from PIL import Image as Picture

from skylens.clock import FakeClock
from skylens.fakes import FakeQueue, FakeQueues, FakeStore
from skylens.messages import Failure, Label, Model, Reply, Request, Result, Timings, decode, encode
from web_openstack.app import Deps


def picture(kind="PNG", size=(4, 3), mode="RGB", **options):
    """An image file's bytes."""
    out = io.BytesIO()
    Picture.new(mode, size).save(out, kind, **options)
    return out.getvalue()


def multipart(*parts, boundary="xyz"):
    """Body and headers of a multipart form. Each part: (field, file name or None, bytes)."""
    body = b""
    for field, name, data in parts:
        filename = f'; filename="{name}"' if name is not None else ""
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"{filename}\r\n\r\n'.encode()
            + data
            + b"\r\n"
        )
    return body + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


@dataclass
class Web:
    """The application and everything around it."""

    deps: Deps
    clock: FakeClock
    inputs: FakeStore
    outputs: FakeStore
    state: FakeStore
    requests: FakeQueue
    queues: FakeQueues
    client: testing.TestClient
    internal: testing.TestClient

    def taken(self):
        """Requests on the queue, in order."""
        return [decode(Request, message.body) for message in list(self.requests.messages.values())]

    def reply(self, request, label="cat", failure=None, worker="i-1"):
        """What a worker would answer, stored as a worker stores it."""
        at = datetime.fromtimestamp(self.clock.now(), UTC)
        result = Result(
            id=request.id,
            name=request.name,
            model=Model(name="m", version="1"),
            labels=(Label(label=label, score=0.9), Label(label="dog", score=0.1)),
            timings=Timings(received=at, queued=at, started=at, finished=at),
            digest=request.digest,
        )
        reply = Reply(
            id=request.id,
            tenant=request.tenant,
            name=request.name,
            top=request.top,
            worker=worker,
            result=None if failure else result,
            failure=Failure.of(failure) if failure else None,
        )
        self.outputs.put(f"{request.tenant}/{request.id}.json", encode(reply), "application/json")
        return reply

    def answering(self, label=lambda request: "cat", failure=None):
        """A thread that plays workers and reply queue: answers every request as it comes. Use as a context manager."""
        return _Answering(self, label, failure)


class _Answering:
    def __init__(self, web, label, failure):
        self.web, self.label, self.failure, self.halt = web, label, failure, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.halt.set()
        self.thread.join()

    def run(self):
        while not self.halt.is_set():
            for message in self.web.requests.receive(10, wait=1):
                request = decode(Request, message.body)
                self.web.deps.jobs.settle(self.web.reply(request, self.label(request), self.failure))
                self.web.requests.delete([message.receipt])
