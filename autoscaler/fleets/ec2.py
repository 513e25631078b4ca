"""Fleet ``ec2``: instances of one launch template, in several places (type, subnet, Spot or not) tried in order."""

import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from autoscaler.fleets import Look, NoCapacityError
from autoscaler.fleets.refusals import Refusals
from autoscaler.observation import Observation
from autoscaler.roster import UNSEEN
from skylens import logs
from skylens.aws_errors import AWS_ERRORS, Trouble, classify, explain, is_passing
from skylens.clock import Clock
from skylens.instances import Instances, Place


@dataclass
class _Attempt:
    """One launch. Its token makes EC2 launch it once, however often it is asked, so all that is sent stays the same.

    ``unknown``: EC2 may have launched it, for an answer did not come. ``began``, ``asked``: ticks of its first call and
    of its last.
    """

    count: int
    token: str
    place: Place
    user_data: str
    began: float
    asked: float
    unknown: bool = False


PATIENCE = 60.0
"""Seconds for which a launch of unknown outcome is repeated before another place is tried."""


def _token() -> str:
    return uuid.uuid4().hex


class Ec2Fleet:
    """Owned by the loop's thread. A place that refused, or gave fewer than asked, is passed over for a while.

    An attempt that may have launched although no answer came is kept, and repeated with the same token until EC2 says
    what came of it; one that EC2 refused is not, since the demand may be gone by the time that EC2 agrees. After
    ``PATIENCE``, if another place is open, that one is tried; room is kept meanwhile for what the first may have made,
    which EC2 shows like any instance, and nothing more is asked for there. An autoscaler that dies before leaves its
    instances to be found by their tag.
    """

    def __init__(
        self, instances: Instances, places: Iterable[Place], clock: Clock, token: Callable[[], str] = _token
    ) -> None:
        """``places``: tried in order, each again some time after it refused."""
        self._instances, self._clock, self._token = instances, clock, token
        self._places = {place: Refusals() for place in places}
        self._attempt: _Attempt | None = None
        self._left: list[_Attempt] = []
        """Those given up without knowing what came of them, one a place at most."""
        self._fresh = True
        self._log = logs.get("autoscaler")

    def look(self, expected: Collection[str]) -> Look | None:
        """The first look after ``forget`` is one step: whoever takes over must not wait."""
        step = self._instances.all if self._fresh else self._instances.sweep
        self._fresh, shown = False, step(expected)
        return None if shown is None else Look(shown)

    def no_capacity(self) -> float:
        return min(map(self._closed, self._places))

    def unsure(self) -> int:
        now = self._clock.ticks()
        self._left = [one for one in self._left if now - one.asked < UNSEEN]
        return sum(one.count for one in self._left)

    def _closed(self, place: Place) -> float:
        """Seconds until the place may be asked again; 0 when it may be."""
        now = self._clock.ticks()
        waits = [one.asked + UNSEEN - now for one in self._left if one.place == place]
        return max(self._places[place].left(now), *waits, 0.0)

    def launch(self, count: int, sure: Callable[[], bool]) -> list[str]:
        """From the first place that gives any; what it does not give, the next place is asked for in the next call."""
        if self._attempt is not None:
            return self.settle() if sure() else []
        for place in self._places:
            if self._closed(place):
                continue
            now = self._clock.ticks()
            attempt = _Attempt(count, self._token(), place, self._instances.user_data(), began=now, asked=now)
            if not sure():
                return []
            self._attempt = attempt
            try:
                return self.settle()
            except AWS_ERRORS as error:
                if classify(error) is not Trouble.CAPACITY:
                    raise
        raise NoCapacityError(f"no capacity for {', '.join(map(str, self._places))}")

    def settle(self) -> list[str]:
        attempt = self._attempt
        if attempt is None:
            return []
        attempt.asked = self._clock.ticks()
        try:
            ids = self._instances.launch(attempt.count, attempt.token, attempt.place, attempt.user_data)
        except AWS_ERRORS as error:
            attempt.unknown |= classify(error) is Trouble.UNREACHABLE
            if not (attempt.unknown and _says_nothing(error)):
                self._attempt = None
            elif attempt.asked - attempt.began > PATIENCE and self._is_open_but(attempt.place):
                self._attempt = None
                self._left.append(attempt)
                self._log.warning("fleet.unsure", place=str(attempt.place), asked=attempt.count, detail=explain(error))
            if classify(error) is Trouble.CAPACITY:
                self._pass_over(attempt, explain(error))
            raise
        self._attempt = None
        if len(ids) < attempt.count:
            self._pass_over(attempt, f"gave {len(ids)}")
        self._log.info("fleet.launched", asked=attempt.count, given=len(ids), place=str(attempt.place), instances=ids)
        return ids

    def _is_open_but(self, place: Place) -> bool:
        """Whether some other place may be asked now."""
        return any(not self._closed(other) for other in self._places if other != place)

    def _pass_over(self, attempt: _Attempt, detail: str) -> None:
        seconds = self._places[attempt.place].add(self._clock.ticks())
        self._log.warning(
            "fleet.capacity", place=str(attempt.place), asked=attempt.count, seconds=seconds, detail=detail
        )

    def call_off(self, count: int) -> int:
        """Nothing is coming: RunInstances answers with ids."""
        del count
        return 0

    def drain(self, ids: list[str]) -> None:
        self._instances.drain(ids)

    def settle_in(self, one: str) -> None:
        self._instances.settle_in(one)

    def terminate(self, one: str) -> None:
        self._instances.terminate(one)

    def tend(self, seen: Observation) -> None:
        """EC2 needs nothing."""

    def forget(self) -> None:
        self._attempt, self._left, self._fresh = None, [], True


def places(types: Sequence[str], subnets: Sequence[str], *, spot: bool) -> list[Place]:
    """Each combination, in the order to try: all of Spot before any on-demand, then by type, then by subnet."""
    return [
        Place(kind, subnet, market)
        for market in ((True, False) if spot else (False,))
        for kind in types or ("",)
        for subnet in subnets or ("",)
    ]


def _says_nothing(error: Exception) -> bool:
    """Whether EC2 may have launched what it was asked before: only its own refusal of the launch says it did not."""
    return is_passing(error) or classify(error) is Trouble.DENIED or not isinstance(error, ClientError)
