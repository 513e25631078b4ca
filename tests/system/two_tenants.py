"""More than the fleet can do: an open-loop load of two tenants, one of them greedy, and what becomes of each request.

The worker's service time is a wait, not work: its batches of 16 never fill with 4 slots, so each image takes
``SERVICE`` seconds and hardly any CPU, and one worker answers some 4 / ``SERVICE`` images a second. So load, emulators
and tiers, which share this machine's cores, are never what is short.
"""

import asyncio
import random
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import msgspec

from web_openstack.callers import SCOPES
from web_openstack.keyring import Keyring
from web_openstack.keys import make

SLOTS, SERVICE = 4, 0.2
WARM, GREEDY, POLITE = "warm", "greedy", "polite"
PATIENCE = 60
"""Seconds that a client waits for its answer: far beyond any goal, so that nothing is taken for lost that is late."""


def keys_file(path: Path) -> dict[str, str]:
    """Write a keys file at ``path``; the key of each tenant."""
    ring, found, now = Keyring(), {}, datetime.now(UTC)
    for tenant in (WARM, GREEDY, POLITE):
        entry, found[tenant] = make(ring, secrets.token_hex, tenant=tenant, scopes=SCOPES, created=now)
        ring = ring.adding(entry)
    path.touch(0o600)
    path.write_bytes(msgspec.json.encode(ring))
    return found


def arguments(keys: Path, limit: float) -> list[str]:
    """Of ``skylens up``: one worker, from the start and at most. ``limit``: predicted seconds that are still taken."""
    return [
        *("--max", "1", "--boot", "0", "--set", "scaler.minimum=1", "--set", f"web.keys_file={keys}"),
        *("--set", f"web.max_predicted_wait={limit:g}", "--set", f"worker.slots={SLOTS}"),
        *("--set", "worker.batch_size=16", "--set", f"worker.batch_wait_ms={SERVICE * 1000:g}"),
    ]


@dataclass(frozen=True)
class Outcome:
    """What became of one POST. ``began``: seconds since the load began; ``seconds``: until its answer."""

    tenant: str
    key: str
    began: float
    seconds: float
    status: int
    retry_after: str | None
    again: bool = False
    """Whether it had been refused before, and came when it was told to."""

    @property
    def refused(self) -> bool:
        return self.status == 503


@dataclass
class Clients:
    """Sends the same picture for many tenants. ``keys``: of the tenants. One event loop; ``close`` ends it."""

    url: str
    keys: dict[str, str]
    picture: bytes
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = httpx2.Limits(max_connections=2000, max_keepalive_connections=200)
        self._http = httpx2.AsyncClient(trust_env=False, timeout=PATIENCE + 30, limits=limits)
        self._began = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Count seconds from now, and forget what was before."""
        self._began = time.monotonic()
        self.outcomes.clear()

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    async def post(self, tenant: str, key: str = "", *, again: bool = False) -> Outcome:
        key, began = key or secrets.token_hex(8), self.now
        headers = {"Authorization": f"Bearer {self.keys[tenant]}", "Idempotency-Key": key}
        headers |= {"Content-Type": "image/png", "Prefer": f"wait={PATIENCE}"}
        got = await self._http.post(f"{self.url}/v1/images", content=self.picture, headers=headers)
        found = Outcome(
            tenant, key, began, self.now - began, got.status_code, got.headers.get("Retry-After"), again=again
        )
        self.outcomes.append(found)
        return found

    async def closed_loop(self, clients: int, seconds: float) -> float:
        """Images a second that so many clients get, each sending when it has its answer."""
        self.begin()

        async def one() -> int:
            done = 0
            while self.now < seconds:
                done += (await self.post(WARM)).status == 200
            return done

        return sum(await asyncio.gather(*(one() for _ in range(clients)))) / self.now

    async def open_loop(self, rate: float, greedy: float, seconds: float, until: float, seed: int = 1) -> None:
        """Poisson arrivals at ``rate`` a second, a share ``greedy`` of them of the greedy tenant.

        Each that is refused comes back once, when it was told to, if that is before ``until``; then all are waited for.
        """
        chance, due = random.Random(seed), 0.0
        self.begin()
        while (due := due + chance.expovariate(rate)) < seconds:
            await asyncio.sleep(max(0.0, due - self.now))
            self._spawn(self._one(GREEDY if chance.random() < greedy else POLITE, until))

    async def settled(self) -> None:
        """Every request has its outcome. Raises what any of them raised."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _spawn(self, coroutine) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._tasks.discard(done) if not done.exception() else None)

    async def _one(self, tenant: str, until: float) -> None:
        first = await self.post(tenant)
        if first.refused and first.retry_after and self.now + int(first.retry_after) < until:
            await asyncio.sleep(int(first.retry_after))
            await self.post(tenant, first.key, again=True)

    async def close(self) -> None:
        await self._http.aclose()
