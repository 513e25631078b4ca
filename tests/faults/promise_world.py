"""Doors, workers and the way of replies, of one deployment in memory, as fibers that stop at each call of AWS."""

import itertools
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from uuid import UUID

from fibers import Fiber, KilledError, Process, Stops, Strands
from parts import FakeEngine, OneModel

from app_aws.backoff import Backoff
from app_aws.leases import Leases
from app_aws.receiver import Receiver
from app_aws.tally import Tally
from app_aws.task import Recogniser
from skylens.aws_errors import AWS_ERRORS
from skylens.clock import FakeClock
from skylens.errors import UnavailableError
from skylens.fakes import FakeQueue, FakeQueues, FakeStore, aws_error
from skylens.messages import Reply, Request, decode
from web_openstack.deadletters import DeadLetters
from web_openstack.deleted import Deleted
from web_openstack.demand import DemandCounter
from web_openstack.housekeeping import ASTRAY, Astray
from web_openstack.idempotency import Idempotency
from web_openstack.jobs import Jobs
from web_openstack.metrics import WebMetrics
from web_openstack.recent import Recent
from web_openstack.replies import ReplyThread
from web_openstack.result_cache import ResultCache
from web_openstack.unstored import Unstored
from web_openstack.uploads import Image
from web_openstack.waiters import Waiters

EXPECTED = (KilledError, UnavailableError, *AWS_ERRORS)
"""What may end a fiber: a death, or a call of AWS that failed."""
VISIBILITY = 30.0
LABELS = (b"cat", b"dog")
TENANT = "t"
SLOTS = 10


@lru_cache
def named(body: str) -> str:
    """The id of a request."""
    return decode(Request, body).id


@dataclass
class Post:
    """A client's image. ``key``: its Idempotency-Key, or none; ``ids``: under which it was accepted."""

    name: str
    data: bytes
    key: str
    ids: set[str] = field(default_factory=set)

    @property
    def label(self) -> str:
        return self.data[:3].decode()


class Worker:
    def __init__(self, world: "World", name: str) -> None:
        self.process = Process(name)
        self.round: Fiber | None = None
        requests = Stops(world.requests)
        clock, engine = world.clock, FakeEngine()
        tally = Tally(SLOTS, clock)
        self.leases = Leases(requests, int(VISIBILITY), clock)
        recogniser = Recogniser(
            requests=requests,
            dead=Stops(world.dead),
            replies=Stops(world.queues),
            inputs=Stops(world.inputs),
            outputs=Stops(world.outputs),
            models=OneModel(engine, lambda prepare, _: SimpleNamespace(result=lambda: engine.infer([prepare()])[0])),
            instance=name,
            clock=clock,
            stores=Strands(self.process, world.spawn),
        )
        self.receiver = Receiver(
            requests, recogniser.handle, tally, self.leases, lambda: None, clock, Backoff(lambda: 0.5)
        )

    def take(self, world: "World") -> None:
        """One round of the receiver; what it starts are fibers of their own."""
        before = self.receiver._jobs.qsize()
        self.receiver._round()
        for _ in range(self.receiver._jobs.qsize() - before):
            self.receiver._jobs.put(None)
            world.spawn(Fiber(self.process, self.receiver._work))


class Door:
    def __init__(self, world: "World", name: str) -> None:
        self.process = Process(name)
        demand, clock, outputs = DemandCounter(name, world.clock), world.clock, Stops(world.outputs)
        metrics, state, queues = WebMetrics(demand), Stops(world.state), Stops(world.queues)
        deleted, requests, strands = Deleted(), Stops(world.requests), Strands(self.process, world.spawn)
        self.jobs = Jobs(
            inputs=Stops(world.inputs),
            outputs=outputs,
            requests=SimpleNamespace(send=lambda body, group: strands.submit(requests.send, body, group).result),
            reply_queue=f"replies-{name}",
            retention=10.0**6,
            largest=10**6,
            inline=10,
            calls=strands,
            demand=demand,
            waiters=Waiters(),
            recent=Recent(deleted),
            cache=ResultCache(0, 10.0**6, deleted),
            deleted=deleted,
            allowance=lambda *_: lambda _: None,
            clock=clock,
            new_id=world.new_id,
            storing_well=threading.Event(),
        )
        self.idempotency = Idempotency(state, self.jobs)
        self.unstored = Unstored(outputs, clock)
        own = Stops(world.queues.queues[f"replies-{name}"])
        self.replies = ReplyThread(lambda: own, self.jobs, self.unstored, metrics, clock)
        self.dead = DeadLetters(Stops(world.dead), queues, state, outputs, self.unstored, clock, metrics)
        self.astray = Astray(self.jobs)

    def post(self, post: Post) -> str:
        image = Image(post.data, "image/png", post.name)
        if post.key:
            return self.idempotency.submit(post.key, image, tenant=TENANT, top=2, trace="")
        return self.jobs.submit(image, tenant=TENANT, top=2)


class World:
    """Everything that outlives a process, the processes, and what clients were told."""

    def __init__(self) -> None:
        self.time = FakeClock()
        self.clock = self.time.clock()
        self.dead = FakeQueue(self.clock, VISIBILITY)
        self.requests = FakeQueue(self.clock, VISIBILITY, dead=self.dead)
        self.queues = FakeQueues(clock=self.clock)
        self.inputs, self.outputs, self.state = (FakeStore(self.clock) for _ in range(3))
        self.fibers: list[Fiber] = []
        self._ids = itertools.count(1)
        self.posts: list[Post] = []
        self.told: list[tuple[Post, str, Reply]] = []
        """What clients heard of their images: of which one, asked for by which id, and the answer."""
        self.words: dict[str, object] = {}
        """Labels, or failure, that the first answer to a job named."""
        self.first: dict[str, bytes] = {}
        """Each outcome as it was when it was stored first."""
        self.doors = [self._door(number) for number in range(2)]
        self.workers = [Worker(self, f"worker-{number}") for number in range(2)]

    def _door(self, number: int) -> Door:
        self.queues.ensure(f"replies-web-{number}", {}, 60)
        return Door(self, f"web-{number}")

    def new_id(self) -> str:
        return str(UUID(int=int(self.clock.now() * 1000) << 80 | 7 << 76 | 2 << 62 | next(self._ids)))

    def spawn(self, fiber: Fiber) -> Fiber:
        self.fibers.append(fiber)
        return fiber

    # -- what may happen --------------------------------------------------------------------------------------------

    def post(self, door: int, post: Post) -> None:
        """A client sends its image, for the first time or again. From its acceptance on the promise holds."""
        if post not in self.posts:
            self.posts.append(post)
        self._start(self.doors[door], lambda one: one.post(post), lambda job: self._accepted(post, job))

    def get(self, door: int, post: Post) -> None:
        """A client asks for the answer."""
        job = min(post.ids)

        def told(reply: Reply | None) -> None:
            if reply is not None:
                self.told.append((post, job, reply))

        self._start(self.doors[door], lambda one: one.jobs.find(job, TENANT, 0, lambda: False), told)

    def take(self, worker: int) -> None:
        """A worker's receiver is one thread: its next round begins after the last one."""
        one = self.workers[worker]
        if one.round is None or one.round.over:
            one.round = self._start(one, lambda owner: owner.take(self))

    def extend(self, worker: int) -> None:
        self._start(self.workers[worker], lambda one: one.leases.extend())

    def replies(self, door: int) -> None:
        self._start(self.doors[door], lambda one: one.replies.poll(0))

    def unstored(self, door: int) -> None:
        self._start(self.doors[door], lambda one: one.unstored.look())

    def letters(self, door: int) -> None:
        self._start(self.doors[door], lambda one: one.dead.poll(0))

    def astray(self, door: int) -> None:
        self._start(self.doors[door], lambda one: one.astray.look())

    def _start(self, owner, call, then=lambda _: None) -> Fiber:
        return self.spawn(Fiber(owner.process, lambda: call(owner), then))

    def step(self, number: int, raising: BaseException | None = None) -> None:
        """One step of one of the fibers that can go on."""
        ready = [fiber for fiber in self.fibers if fiber.ready]
        assert ready or not self.fibers, "all wait for each other"
        if ready:
            ready[number % len(ready)].step(raising)
        self._clear()

    def fail(self, number: int) -> None:
        """AWS refuses a call, or its answer is lost."""
        self.step(number, aws_error("InternalError", 500))

    def kill_worker(self, number: int) -> None:
        self._kill(self.workers[number].process)
        self.workers[number] = Worker(self, f"worker-{number}")

    def kill_door(self, number: int) -> None:
        """Started again under its name, as systemd does."""
        self._kill(self.doors[number].process)
        self.doors[number] = self._door(number)

    def _kill(self, process: Process) -> None:
        process.dead = True
        for fiber in [one for one in self.fibers if one.process is process]:
            while not fiber.over:
                fiber.step()
        self._clear()

    def _clear(self) -> None:
        """Forget the fibers that are over. Raises what must not have ended one."""
        for fiber in self.fibers:
            if fiber.over and fiber.error and not isinstance(fiber.error, EXPECTED):
                raise fiber.error
        self.fibers = [fiber for fiber in self.fibers if not fiber.over]

    def sleep(self, seconds: float) -> None:
        self.time.sleep(seconds)

    def settle(self) -> None:
        """Let everything go on, with nothing failing, until nothing is left to do."""
        for _ in range(60):
            self._run_all()
            for number in range(2):
                self.take(number)
                self.replies(number)
                self.unstored(number)
                self.letters(number)
                self.astray(number)
            self._run_all()
            if self.is_quiet():
                return
            self.sleep(ASTRAY + VISIBILITY)
        raise AssertionError(f"not quiet: {self.requests.messages} {self.dead.messages} {self.queues.queues}")

    def _run_all(self) -> None:
        while self.fibers:
            self.step(0)

    def is_quiet(self) -> bool:
        replies = any(queue.messages for queue in self.queues.queues.values())
        return not (self.requests.messages or self.dead.messages or replies)

    def end(self) -> None:
        """Let no thread live on."""
        for owner in (*self.doors, *self.workers):
            self._kill(owner.process)

    # -- what must hold ---------------------------------------------------------------------------------------------

    def _accepted(self, post: Post, job: str) -> None:
        assert f"{TENANT}/{job}" in self.inputs.objects, "accepted before it was stored"
        post.ids.add(job)

    def check(self) -> None:
        """At every moment: what was accepted is on its way or answered, and an outcome stays as it was."""
        queued = (*self.requests.messages.values(), *self.dead.messages.values())
        waiting = {named(message.body) for message in queued}
        for job in self._promised():
            assert job in waiting or f"{TENANT}/{job}.json" in self.outputs.objects, f"{job} is lost"
        for place, (data, _, _) in self.outputs.objects.items():
            assert self.first.setdefault(place, data) == data, f"{place} was stored twice"
        for post, job, reply in self.told:
            assert reply.id == job, "the answer to another job"
            assert job in post.ids, "never accepted"
            self._is_own(post, reply)
            said = reply.failure or reply.result.labels
            assert self.words.setdefault(job, said) == said, f"{job} was answered twice: {said}"

    def check_settled(self) -> None:
        """In the end: one outcome for each, and every client can fetch its own at any node."""
        self.check()
        for number, post in itertools.product(range(2), self.posts):
            assert len(post.ids) <= 1 or not post.key, "two jobs for one Idempotency-Key"
            for job in post.ids:
                reply = self._fetched(number, job)
                assert reply == decode(Reply, self.outputs.objects[f"{TENANT}/{job}.json"][0])
                self._is_own(post, reply)

    def _fetched(self, door: int, job: str) -> Reply:
        found: list[Reply] = []
        self.kill_door(door)
        self._start(self.doors[door], lambda one: one.jobs.find(job, TENANT, 0, lambda: False), found.append)
        self._run_all()
        assert found, f"{job} cannot be fetched"
        assert found[0] is not None, f"{job} was never answered"
        return found[0]

    def _is_own(self, post: Post, reply: Reply) -> None:
        """Its own label, or that no worker survived it."""
        assert reply.name == post.name, "another client's answer"
        if reply.failure is not None:
            assert reply.failure.code == "poison-image", reply.failure
        else:
            assert reply.result.labels[0].label == post.label, "mispaired"

    def _promised(self) -> set[str]:
        return {job for post in self.posts for job in post.ids}
