"""Takes images in as long as they can be answered in time, each tenant up to its share; tells others when to come."""

from collections.abc import Callable

from skylens.errors import TooManyRequestsError, UnavailableError
from web_openstack.admission import FleetBoard
from web_openstack.demand import DemandCounter
from web_openstack.fairness import Standing, may_enter
from web_openstack.outlook import Outlook, outlook
from web_openstack.turns import Turns

KEPT = 0.25
"""Share of the room that is kept for those who come back when they were told to, while there are any."""
RETRY_AFTER = 5
"""Seconds after which to try again when a tenant has as many unanswered images as it may have at all."""


class FairAdmission:
    """Shared by all request threads. What it asks of others takes as long for a thousand tenants as for one."""

    def __init__(
        self,
        demand: DemandCounter,
        fleet: FleetBoard,
        turns: Turns,
        *,
        longest: float,
        most_outstanding: Callable[[str], int],
    ) -> None:
        """``longest``: predicted wait in seconds that is still taken; ``most_outstanding``: as of ``TenantLimits``."""
        self._demand, self._fleet, self._turns = demand, fleet, turns
        self._longest, self._most = longest, most_outstanding

    def check(self, tenant: str, key: str = "") -> float:
        """The share of what is there that this request may fill. Raises UnavailableError when there is no room for it.

        ``key``: its Idempotency-Key. What was let in here is counted only by ``allowance``, which has the last word.
        """
        share, standing, seen = self._turns.may_fill(tenant, key, KEPT), self._demand.standing(tenant), self._look()
        if not may_enter(standing, share * seen.room(self._longest, standing.all)):
            raise self._refusal(tenant, key, standing, seen)
        return share

    def entered(self, tenant: str, key: str) -> None:
        """A request was taken in; until then its turn is its own, whoever refuses it."""
        if key:
            self._turns.took(tenant, key)

    def allowance(self, tenant: str, key: str = "") -> Callable[[Standing], None]:
        """What raises when one more image of the tenant is too many. It is asked while the count stands still.

        ``key``: as of ``check``, of the request that brings the image.
        """
        share, most, seen = self._turns.may_fill(tenant, key, KEPT), self._most(tenant), self._look()

        def judge(standing: Standing) -> None:
            if most and standing.own >= most:
                detail = f"{most} images of this tenant are not answered yet, as many as it may have"
                raise TooManyRequestsError(detail, retry_after=RETRY_AFTER, reason="outstanding")
            if not may_enter(standing, share * seen.room(self._longest, standing.all)):
                raise self._refusal(tenant, key, standing, seen)

        return judge

    def later(self, tenant: str, key: str) -> int:
        """Seconds after which somebody who was refused for other reasons than the predicted wait is to come back."""
        standing, seen = self._demand.standing(tenant), self._look()
        return self._turns.give(tenant, key, earliest=seen.starts, rate=_rate(standing, seen))

    def _look(self) -> Outlook:
        return outlook(self._demand.snapshot(), self._fleet.fresh())

    def _refusal(self, tenant: str, key: str, standing: Standing, seen: Outlook) -> UnavailableError:
        too_many = max(0.0, standing.all + 1 - seen.room(self._longest, standing.all))
        earliest = seen.starts + too_many / seen.rate
        wait = self._turns.give(tenant, key, earliest=earliest, rate=_rate(standing, seen))
        detail = f"as many images are waiting as can be answered within {self._longest:g} s; come back in {wait} s"
        if seen.closed:
            detail = f"the budget of today is spent: nobody works for {seen.closed:.0f} s; come back in {wait} s"
        return UnavailableError(detail, retry_after=wait, reason="overload")


def _rate(standing: Standing, seen: Outlook) -> float:
    """Images of the tenant answered a second: its part of what waits is its part of what is answered."""
    return seen.rate * max(standing.own, 1) / max(seen.backlog, standing.all, 1)
