"""Fleet ``ec2``: instances of one launch template, in several places (type, subnet, Spot or not) tried in order."""

import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from autoscaler.fleets import Look, NoCapacityError
from autoscaler.fleets.refusals import Refusals
from autoscaler.observation import Observation
from skylens import logs
from skylens.aws_errors import AWS_ERRORS, Trouble, classify, explain, is_passing
from skylens.clock import Clock
from skylens.instances import Instances, Place


@dataclass
class _Attempt:
    """One launch. Its token makes EC2 launch it once, however often it is asked, so all that is sent stays the same.

    ``unknown``: EC2 may have launched it, for an answer did not come.
    """

    count: int
    token: str
    place: Place
    user_data: str
    unknown: bool = False


def _token() -> str:
    return uuid.uuid4().hex


class Ec2Fleet:
    """Owned by the loop's thread. A place that refused, or gave fewer than asked, is passed over for a while.

    An attempt that may have launched although no answer came is kept, and repeated with the same token until EC2 says
    what came of it; one that EC2 refused is not, since the demand may be gone by the time that EC2 agrees. An
    autoscaler that dies before leaves its instances to be found by their tag.
    """

    def __init__(
        self, instances: Instances, places: Iterable[Place], clock: Clock, token: Callable[[], str] = _token
    ) -> None:
        """``places``: tried in order, each again some time after it refused."""
        self._instances, self._clock, self._token = instances, clock, token
        self._places = {place: Refusals() for place in places}
        self._attempt: _Attempt | None = None
        self._fresh = True
        self._log = logs.get("autoscaler")

    def look(self, expected: Collection[str]) -> Look | None:
        """The first look after ``forget`` is one step: whoever takes over must not wait."""
        step = self._instances.all if self._fresh else self._instances.sweep
        self._fresh, shown = False, step(expected)
        return None if shown is None else Look(shown)

    def no_capacity(self) -> float:
        now = self._clock.ticks()
        return min(refusals.left(now) for refusals in self._places.values())

    def launch(self, count: int, sure: Callable[[], bool]) -> list[str]:
        """From the first place that gives any; what it does not give, the next place is asked for in the next call."""
        if self._attempt is not None:
            return self.settle() if sure() else []
        for place, refusals in self._places.items():
            if refusals.left(self._clock.ticks()):
                continue
            attempt = _Attempt(count, self._token(), place, self._instances.user_data())
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
        try:
            ids = self._instances.launch(attempt.count, attempt.token, attempt.place, attempt.user_data)
        except AWS_ERRORS as error:
            attempt.unknown |= classify(error) is Trouble.UNREACHABLE
            if not (attempt.unknown and _says_nothing(error)):
                self._attempt = None
            if classify(error) is Trouble.CAPACITY:
                self._pass_over(attempt, explain(error))
            raise
        self._attempt = None
        if len(ids) < attempt.count:
            self._pass_over(attempt, f"gave {len(ids)}")
        self._log.info("fleet.launched", asked=attempt.count, given=len(ids), place=str(attempt.place), instances=ids)
        return ids

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
        self._attempt, self._fresh = None, True


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
