"""The web nodes' internal addresses: ask for their demand, tell them of the fleet."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import httpx2

from skylens.errors import MessageError
from skylens.messages import Demand, FleetReport, decode, encode

TIMEOUT = 0.5
"""Seconds for each step of one exchange."""
MOST_THREADS = 8


class Nodes(Protocol):
    def demands(self) -> dict[str, Demand | None]:
        """Each node's demand; None for one that did not answer."""
        ...

    def tell(self, report: FleetReport) -> dict[str, bool]:
        """Whether each node took the report."""
        ...


class WebNodes:
    """The real ones, all asked at once so that one dead node does not delay the others.

    Owns a pool of threads that live for one exchange at a time; ``close`` ends them. One that dies takes nothing along.
    A connection to a node that is no longer among the addresses ends by itself, five seconds after its last exchange.
    """

    def __init__(self, addresses: Callable[[], tuple[str, ...]]) -> None:
        """``addresses``: of each node that there is, asked for at each exchange."""
        self._addresses = addresses
        self._client = httpx2.Client(timeout=TIMEOUT, trust_env=False)
        self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="nodes")

    def demands(self) -> dict[str, Demand | None]:
        addresses = self._addresses()
        return dict(zip(addresses, self._pool.map(self._ask, addresses), strict=True))

    def tell(self, report: FleetReport) -> dict[str, bool]:
        body, addresses = encode(report), self._addresses()
        told = self._pool.map(lambda address: self._put(address, body), addresses)
        return dict(zip(addresses, told, strict=True))

    def close(self) -> None:
        self._pool.shutdown()
        self._client.close()

    def _ask(self, address: str) -> Demand | None:
        try:
            answer = self._client.get(f"{address}/internal/demand").raise_for_status()
            return decode(Demand, answer.content)
        except (httpx2.HTTPError, MessageError):
            return None

    def _put(self, address: str, body: bytes) -> bool:
        headers = {"Content-Type": "application/json"}
        try:
            self._client.put(f"{address}/internal/fleet", content=body, headers=headers).raise_for_status()
        except httpx2.HTTPError:
            return False
        return True
