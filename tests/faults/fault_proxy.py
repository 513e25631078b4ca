"""A reverse proxy between our tiers and one emulator of AWS, where a plan says what happens to which call.

    with proxying(emulator, scripted("lost", operation="sqs.SendMessage")) as proxy:
        client = boto3.client("sqs", endpoint_url=proxy.url)

A torn answer reaches its client in half before the reset: a reset discards what lies unread at the other end, so the
proxy waits a moment in between.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import urlsplit

import h11
from deliveries import Deliveries
from operation import Operation, operation
from plan import FAILING, Fault, Plan, Script
from refusals import Answer, refusal
from wire import Asked, CutError, Link

TORN_SECONDS = 0.05
SENDS = ("SendMessage", "SendMessageBatch")


class FaultProxy:
    """Used inside one asyncio loop. ``figures`` counts calls by operation and faults by kind."""

    def __init__(self, upstream: str, plan: Plan) -> None:
        """``upstream``: ``http://host:port`` of the emulator."""
        url = urlsplit(upstream)
        self._host, self._port = url.hostname, url.port
        self._deliveries = Deliveries()
        self._server: asyncio.Server | None = None
        self.script = Script(plan)
        self.figures: Counter[str] = Counter()
        self.seen: list[tuple[str, str]] = []
        """The last calls, and the kind of fault of each, or an empty text."""

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Link(reader, writer, h11.SERVER)
        try:
            while (asked := await client.asked()) is not None:
                await self._handle(client, asked)
                if not client.next():
                    break
        except (CutError, OSError, h11.ProtocolError):
            client.reset()
        except asyncio.CancelledError:
            client.reset()
        finally:
            client.close()

    async def _handle(self, client: Link, asked: Asked) -> None:
        what = operation(asked.method, asked.target, dict(asked.headers), asked.body)
        fault = self.script.next(what) or Fault("late")
        struck = fault.kind if fault != Fault("late") else ""
        self.figures["calls"] += 1
        self.figures[f"calls {what}"] += 1
        self.figures["failed"] += fault.kind in FAILING
        self.figures[f"fault {struck}"] += bool(struck)
        self.seen = [*self.seen[-99:], (str(what), struck)]
        answer = await client.meanwhile(self._made(asked, what, fault))
        if fault.kind == "torn":
            await client.answer(answer, torn=True)
            await asyncio.sleep(TORN_SECONDS)
        if fault.kind in {"torn", "lost"}:
            raise CutError(f"{what}: {fault.kind}")
        await client.answer(answer)

    async def _made(self, asked: Asked, what: Operation, fault: Fault) -> Answer:
        """The answer to a call that is made, if the fault lets it."""
        match fault.kind:
            case "refused":
                return refusal(what, fault.how)
            case "reset":
                raise CutError(f"{what}: reset")
            case "late":
                await asyncio.sleep(fault.seconds)
            case "twice":
                await self._sqs(asked, what, fault)
        answer = await self._sqs(asked, what, fault)
        return _skewed(answer, fault.seconds) if fault.kind == "skewed" else answer

    async def _sqs(self, asked: Asked, what: Operation, fault: Fault) -> Answer:
        """The answer of the emulator, and what the queues' faults make of it."""
        if what.service != "sqs":
            return await self._ask(asked)
        queues, queue = self._deliveries, what.resource
        asked = asked._replace(body=queues.known(asked.body))
        if fault.kind == "reordered" and what.name in SENDS:
            return await self._ask(asked._replace(body=queues.delayed(asked.body, fault.seconds)))
        if what.name == "GetQueueAttributes":
            return self._counts(await self._ask(asked), queue, fault)
        if what.name == "ReceiveMessage":
            return await self._received(asked, queue, fault)
        return await self._ask(asked)

    async def _received(self, asked: Asked, queue: str, fault: Fault) -> Answer:
        queues = self._deliveries
        waits = queues.waits(queue)
        answer = await self._ask(asked._replace(body=queues.at_once(asked.body)) if waits else asked)
        if answer.status != 200:
            return answer
        body = answer.body
        if waits:
            body = queues.add(queue, asked.body, body)
        if fault.kind == "given again":
            queues.keep(queue, answer.body)
        if fault.kind == "reordered":
            body = queues.backwards(body)
        self.figures["given again"] = queues.given_again
        return answer._replace(body=body)

    def _counts(self, answer: Answer, queue: str, fault: Fault) -> Answer:
        if answer.status != 200:
            return answer
        now = asyncio.get_running_loop().time()
        self._deliveries.note(queue, answer.body, now)
        if fault.kind != "behind":
            return answer
        return answer._replace(body=self._deliveries.behind(queue, answer.body, now, fault.seconds))

    async def _ask(self, asked: Asked) -> Answer:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        emulator = Link(reader, writer, h11.CLIENT)
        try:
            return await emulator.ask(asked, f"{self._host}:{self._port}")
        finally:
            emulator.close()


def _skewed(answer: Answer, seconds: float) -> Answer:
    """With its Date shifted."""

    def shifted(name: str, value: str) -> str:
        if name.lower() != "date":
            return value
        return format_datetime(parsedate_to_datetime(value) + timedelta(seconds=seconds), usegmt=True)

    return answer._replace(headers=[(name, shifted(name, value)) for name, value in answer.headers])


@contextmanager
def proxying(upstream: str, plan: Plan | None = None) -> Iterator[FaultProxy]:
    """A proxy that serves on a thread of its own until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="faults", daemon=True)
    thread.start()
    proxy = FaultProxy(upstream, plan or Plan())
    asyncio.run_coroutine_threadsafe(proxy.listen(), loop).result(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_end_all())
        loop.close()


async def _end_all() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
