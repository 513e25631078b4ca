"""The web nodes' internal addresses: ask for their demand, tell them of the fleet."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol, TypeVar

import httpcore2 as httpcore

from skylens.bounded_stream import BoundedBackend, deadline
from skylens.errors import MessageError
from skylens.messages import Demand, FleetReport, decode, encode

TIMEOUT = 0.5
"""Seconds for each step of one exchange."""
DEADLINE = 2.0
"""Seconds for an exchange: a node that answers byte by byte is one that does not answer."""
NAMED = 1.0
"""More seconds after which none is waited for any longer: its node's name is still being looked up."""
GOOD = range(200, 300)
LARGEST = 64 * 1024
"""Bytes of an answer, its headers included."""
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

    None of them is believed to be a good one: an exchange ends in time and after so many bytes, and one that does not,
    because a name server is silent, leaves its node out of the next ones until it has ended.

    Owns a pool of threads that live for one exchange at a time; ``close`` waits for them. One that dies takes nothing
    along.
    """

    def __init__(self, addresses: Callable[[], tuple[str, ...]], ticks: Callable[[], float] = time.monotonic) -> None:
        """``addresses``: of each node that there is, asked for at each exchange."""
        self._addresses, self._ticks = addresses, ticks
        self._late: dict[str, Future[Any]] = {}
        """Exchanges that were not over in time."""
        self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="nodes")

    def demands(self) -> dict[str, Demand | None]:
        return self._exchange(self._ask, None)

    def tell(self, report: FleetReport) -> dict[str, bool]:
        body = encode(report)
        return self._exchange(lambda address: self._put(address, body), False)  # noqa: FBT003 - what a silent one says

    def close(self) -> None:
        self._pool.shutdown()

    def _exchange(self, call: Callable[[str], _Said], silent: _Said) -> dict[str, _Said]:
        """What ``call`` says of each address, ``silent`` where that takes too long."""
        addresses = self._addresses()
        self._late = {address: one for address, one in self._late.items() if not one.done()}
        begun = {one: self._pool.submit(call, one) for one in addresses if one not in self._late}
        wait(begun.values(), DEADLINE + NAMED)
        said = {address: one.result() for address, one in begun.items() if one.done()}
        self._late |= {address: one for address, one in begun.items() if address not in said and not one.cancel()}
        return {address: said.get(address, silent) for address in addresses}

    def _ask(self, address: str) -> Demand | None:
        answer = self._call("GET", f"{address}/internal/demand")
        try:
            return None if answer is None else decode(Demand, answer)
        except MessageError:
            return None

    def _put(self, address: str, body: bytes) -> bool:
        return self._call("PUT", f"{address}/internal/fleet", body) is not None

    def _call(self, method: str, url: str, body: bytes | None = None) -> bytes | None:
        """The answer's body; None when there is no good one."""
        headers = [("Accept-Encoding", "identity"), *([("Content-Type", "application/json")] if body else [])]
        bounded = BoundedBackend(deadline(DEADLINE, self._ticks, TIMEOUT), LARGEST)
        try:
            with httpcore.ConnectionPool(network_backend=bounded) as pool:
                answer = pool.request(method, url, headers=headers, content=body)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, ValueError):
            return None  # ValueError: of an address that is none
        return answer.content if answer.status in GOOD else None
