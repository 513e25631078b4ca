"""The simulated world once more, slow and obvious: what ``simulate`` is compared with."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from autoscaler.simulator.model import Model


@dataclass
class Slot:
    free: float
    request: int = -1
    working: bool = False


@dataclass
class Server:
    number: int
    launched: float
    ready: float
    dies: float
    slots: list[Slot] = field(default_factory=list)
    state: str = "coming"
    leaves: float = float("inf")
    gone: float = float("inf")
    worked: float = 0.0

    @property
    def in_flight(self) -> int:
        return sum(slot.working for slot in self.slots)

    @property
    def idle_since(self) -> float:
        return max(slot.free for slot in self.slots)


class SlowWorld:
    """Steps from one interesting moment to the next, looking at everything each time."""

    def __init__(
        self, arrivals, services, boots, model: Model, *, every=1.0, idle_timeout=0.0, staying=0, calls_off=True
    ) -> None:
        self.arrivals, self.services, self.boots, self.model = list(arrivals), list(services), list(boots), model
        self.every, self.idle_timeout, self.staying, self.calls_off = every, idle_timeout, staying, calls_off
        self.lifetimes = np.random.default_rng([model.seed, 2])
        self.servers: list[Server] = []
        self.queue: list[int] = []
        self.hidden: list[tuple[float, int]] = []
        self.starts = [float("inf")] * len(self.arrivals)
        self.ends = [float("inf")] * len(self.arrivals)
        self.seen: list[tuple] = []
        self.got_ready: list[Server] = []
        self.deaths = 0

    def run(self, desired: Callable[[int], int], until: float) -> "SlowWorld":
        for _ in range(self.model.initial):
            self._add(0.0, 0.0)
        now, decisions, arrived = 0.0, 0, 0
        while now <= until:
            self._finish(now)
            self._live(now)
            self._live(now)  # what came at once of what happened
            if now == decisions * self.every and now < until:
                self._decide(now, desired(decisions))
                decisions += 1
                self._live(now)
            while arrived < len(self.arrivals) and self.arrivals[arrived] <= now:
                self.queue.append(arrived)
                arrived += 1
            self._dispatch(now)
            moments = [decisions * self.every, *self.arrivals[arrived : arrived + 1], *self._moments()]
            now = min((at for at in moments if at > now), default=float("inf"))
        return self

    def paid(self, seconds: float) -> list[float]:
        """Seconds of each launch that are paid for in a trace of that many ``seconds``."""
        return [max(0.0, min(one.gone, max(seconds, one.worked)) - one.launched) for one in self.servers]

    def _moments(self):
        for server in self.servers:
            yield server.ready
            yield server.dies
            yield server.leaves
            for slot in server.slots:
                yield slot.free
            if server.state == "ready":
                yield server.idle_since + self.idle_timeout
        for at, _ in self.hidden:
            yield at

    def _add(self, now, boot):
        rate = self.model.deaths_per_hour
        lifetime = self.lifetimes.exponential(3600 / rate) if rate else float("inf")
        self.servers.append(Server(len(self.servers), now, now + boot, now + boot + lifetime))

    def _in(self, *states):
        return [server for server in self.servers if server.state in states]

    def _finish(self, now):
        for server in self.servers:
            for slot in server.slots:
                if slot.working and slot.free <= now:
                    slot.working = False
                    self.ends[slot.request] = server.worked = slot.free

    def _live(self, now):
        for server in sorted(self._in("coming"), key=lambda server: (server.ready, server.number)):
            if server.ready <= now:
                server.state = "ready"
                server.slots = [Slot(now) for _ in range(self.model.concurrency)]
                self.got_ready.append(server)
        back = [request for at, request in self.hidden if at <= now]
        self.hidden = [(at, request) for at, request in self.hidden if at > now]
        self.queue = sorted([*self.queue, *back])
        for server in self._in("leaving"):
            if not server.in_flight and server.leaves <= now:
                self._end(server, now)
        for server in self._in("ready", "leaving"):
            if server.dies <= now:
                self._die(server, now)
        self._send_idle_home(now)

    def _die(self, server, now):
        self.deaths += 1
        for slot in server.slots:
            if slot.working:
                server.worked = now
                self.starts[slot.request] = float("inf")
                self.hidden.append((now + self.model.visibility_timeout, slot.request))
        self._end(server, now)

    def _send_idle_home(self, now):
        if not self.idle_timeout:
            return
        for server in self._in("ready"):
            longest = [one for one in self.got_ready if one.state == "ready"][: self.staying]
            if server not in longest and not server.in_flight and server.idle_since + self.idle_timeout <= now:
                self._drain(server, now)

    def _drain(self, server, now):
        server.leaves = server.ready if server.state == "coming" else now + self.model.leave
        server.state = "leaving"
        if not server.in_flight and server.leaves <= now:
            self._end(server, now)

    def _end(self, server, now):
        server.state, server.gone, server.dies, server.slots = "gone", now, float("inf"), []

    def _decide(self, now, desired):
        ready = [server for server in self.got_ready if server.state == "ready"]
        coming, leaving = self._in("coming"), self._in("leaving")
        unanswered = [at for at, end in zip(self.arrivals, self.ends, strict=True) if at < now and end > now]
        in_flight = sum(server.in_flight for server in ready + leaving) + len(self.hidden)
        self.seen.append(
            (
                now,
                len(ready),
                len(coming),
                len(leaving),
                len(self.queue),
                in_flight,
                now - unanswered[0] if unanswered else 0.0,
                {str(server.number): server.in_flight for server in ready + coming + leaving},
            )
        )
        desired = min(max(desired, self.model.minimum), self.model.maximum)
        active = ready + coming
        for _ in range(min(desired - len(active), self.model.maximum - len(active) - len(leaving))):
            self._add(now, self.boots.pop(0))
        for server in sorted(active, key=_loss)[: max(0, len(active) - desired)]:
            if server.state == "coming" and self.calls_off:
                self._end(server, now)
            else:
                self._drain(server, now)

    def _dispatch(self, now):
        while self.queue:
            free = [
                (slot.free, server.number, slot.request, slot)
                for server in self._in("ready")
                for slot in server.slots
                if not slot.working
            ]
            if not free:
                return
            *_, slot = min(free, key=lambda one: one[:3])
            request = self.queue.pop(0)
            slot.request, slot.working = request, True
            slot.free = now + self.services[request]
            self.starts[request] = now


def _loss(server):
    """Idle first, oldest first; then the youngest that is coming; then who works on least."""
    age = -server.launched
    if server.state == "coming":
        return 1, 0, age
    return (0, 0, -age) if not server.in_flight else (2, server.in_flight, -age)
