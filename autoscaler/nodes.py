"""The web nodes' internal addresses: ask for their demand, tell them of the fleet."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol, TypeVar

import httpx2

from skylens.errors import MessageError
from skylens.messages import Demand, FleetReport, decode, encode

TIMEOUT = 0.5
"""Seconds for each step of one exchange."""
DEADLINE = 2.0
"""Seconds for all exchanges together: a node that answers byte by byte is one that does not answer."""
LARGEST = 256 * 1024
"""Bytes of an answer."""
PLAIN = {"Accept-Encoding": "identity"}
MOST_THREADS = 8
_Said = TypeVar("_Said")


class Nodes(Protocol):
    def demands(self) -> dict[str, Demand | None]:
        """Each node's demand; None for one that did not answer."""
        ...

    def tell(self, report: FleetReport) -> dict[str, bool]:
        """Whether each node took the report."""
        ...


class WebNodes:
    """The real ones, all asked at once so that one dead node does not delay the others.

    None of them is believed to be a good one: an exchange ends in time, and one that does not leaves its node out of
    the next ones until it has ended.

    Owns a pool of threads that live for one exchange at a time; ``close`` ends them. One that dies takes nothing along.
    A connection to a node that is no longer among the addresses ends by itself, five seconds after its last exchange.
    """

    def __init__(self, addresses: Callable[[], tuple[str, ...]], ticks: Callable[[], float] = time.monotonic) -> None:
        """``addresses``: of each node that there is, asked for at each exchange."""
        self._addresses, self._ticks = addresses, ticks
        self._late: dict[str, Future[Any]] = {}
        """Exchanges that were not over in time."""
        self._client = httpx2.Client(timeout=TIMEOUT, trust_env=False)
        self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="nodes")

    def demands(self) -> dict[str, Demand | None]:
        return self._exchange(self._ask, None)

    def tell(self, report: FleetReport) -> dict[str, bool]:
        body = encode(report)
        return self._exchange(lambda address: self._put(address, body), False)  # noqa: FBT003 - what a silent one says

    def close(self) -> None:
        self._client.close()  # which ends what is late
        self._pool.shutdown()

    def _exchange(self, call: Callable[[str], _Said], silent: _Said) -> dict[str, _Said]:
        """What ``call`` says of each address, ``silent`` where that takes too long."""
        addresses = self._addresses()
        self._late = {address: one for address, one in self._late.items() if not one.done()}
        begun = {one: self._pool.submit(call, one) for one in addresses if one not in self._late}
        wait(begun.values(), DEADLINE)
        said = {address: one.result() for address, one in begun.items() if one.done()}
        self._late |= {address: one for address, one in begun.items() if address not in said and not one.cancel()}
        return {address: said.get(address, silent) for address in addresses}

    def _ask(self, address: str) -> Demand | None:
        until, body = self._ticks() + DEADLINE, b""
        try:
            with self._client.stream("GET", f"{address}/internal/demand", headers=PLAIN) as answer:
                answer.raise_for_status()
                for part in answer.iter_raw():
                    body += part
                    if len(body) > LARGEST or self._ticks() > until:
                        return None
            return decode(Demand, body)
        except (httpx2.HTTPError, MessageError):
            return None

    def _put(self, address: str, body: bytes) -> bool:
        headers = {"Content-Type": "application/json", **PLAIN}
        try:
            with self._client.stream("PUT", f"{address}/internal/fleet", content=body, headers=headers) as answer:
                answer.raise_for_status()
        except httpx2.HTTPError:
            return False
        return True
