"""Which web nodes there are: looked for in Nova every half minute."""

import threading
from typing import Protocol

from autoscaler.trouble import Troubles
from skylens import logs
from skylens.clock import Clock
from skylens.errors import UnavailableError
from skylens.nova import Nova, web_nodes

LOOK_EVERY, RETRY = 30.0, 5.0
"""Seconds between two looks, and until the next one as long as none has succeeded."""
OLD = 3 * LOOK_EVERY
"""Seconds after which the list of nodes is stale."""
WHAT = "web nodes in Nova"


class Peers(Protocol):
    @property
    def age(self) -> float | None:
        """Seconds since the list was last true; None when it never was."""
        ...

    @property
    def stale(self) -> bool: ...


class NovaPeers:
    """Keeps the addresses of the web nodes as Nova shows them, from a daemon thread owned by the loop's process.

    A look that fails leaves the list as it is. Until the first that succeeds, the list is the one that was given,
    perhaps empty: then no demand is known, which forbids scale-in. ``stop`` is a flag: a look under way ends with the
    process. Should the thread die, the list goes on as it is, and is soon named stale.
    """

    def __init__(self, nova: Nova, deployment: str, given: tuple[str, ...], troubles: Troubles, clock: Clock) -> None:
        """``given``: addresses to go on with until Nova answered."""
        self._nova, self._deployment, self._troubles, self._clock = nova, deployment, troubles, clock
        self._log = logs.get("autoscaler")
        self._addresses = given
        self._looked: float | None = None
        self._stop = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="peers", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def addresses(self) -> tuple[str, ...]:
        return self._addresses

    @property
    def age(self) -> float | None:
        looked = self._looked
        return None if looked is None else self._clock.ticks() - looked

    @property
    def stale(self) -> bool:
        age = self.age
        return age is None or age > OLD

    def _run(self) -> None:
        while not self._stop.is_set():
            self._look_or_say()
            self._stop.wait(RETRY if self._looked is None else LOOK_EVERY)

    def _look_or_say(self) -> None:
        """An answer that openstacksdk stumbles over must not end the looking."""
        try:
            self.look()
        except Exception:  # noqa: BLE001 - the next look asks anew
            self._log.exception("nodes.look_broke")

    def look(self) -> None:
        """Ask once. What Nova shows was true when it was asked, at the latest."""
        asked = self._clock.ticks()
        try:
            found = web_nodes(self._nova.servers(), self._deployment)
        except UnavailableError as error:
            self._troubles.say(WHAT, "unavailable", error.detail)
            return
        tags = f"skylens:deployment={self._deployment} and skylens:tier=web"
        self._troubles.say(WHAT, "" if found else "none", f"no running server has the metadata {tags}")
        addresses = tuple(dict.fromkeys(node.url for node in found))
        if set(addresses) != set(self._addresses):
            self._log.info("nodes.changed", nodes={node.url: node.name for node in found}, before=self._addresses)
        self._addresses, self._looked = addresses, asked
