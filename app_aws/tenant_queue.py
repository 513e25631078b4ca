"""What waits for a thread: of each tenant in the order in which it came, tenants in turn."""

import queue
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class TenantQueue(queue.Queue[tuple[str | None, T]], Generic[T]):
    """A queue of (tenant, item). Whoever waits behind another tenant waits for one of its items, however many it has.

    What is of no tenant (None) comes once nothing else waits. ``queue.Queue`` does the locking, and leaves these four
    to whoever keeps the items otherwise.
    """

    def _init(self, maxsize: int) -> None:  # noqa: ARG002 - as queue.Queue calls it
        self._waiting: dict[str | None, deque[tuple[str | None, T]]] = {}
        """By tenant; whose turn it is comes first."""

    def _qsize(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _put(self, item: tuple[str | None, T]) -> None:
        self._waiting.setdefault(item[0], deque()).append(item)

    def _get(self) -> tuple[str | None, T]:
        tenant = next((one for one in self._waiting if one is not None), None)
        own = self._waiting.pop(tenant)
        first = own.popleft()
        if own:
            self._waiting[tenant] = own  # behind the others
        return first
