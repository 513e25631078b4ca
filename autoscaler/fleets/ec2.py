"""Fleet ``ec2``: instances of one launch template, in several subnets tried in order."""

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass

from autoscaler.fleets import NoCapacityError
from skylens import logs
from skylens.aws_errors import AWS_ERRORS, Trouble, classify, explain, is_passing
from skylens.clock import Clock
from skylens.instances import Instance, Instances

REMEMBERED = 180.0
"""Seconds for which a subnet without capacity is not asked again."""


@dataclass
class _Attempt:
    """One launch. Its token makes EC2 launch it once, however often it is asked, so all that is sent stays the same.

    ``unknown``: EC2 may have launched it, for an answer did not come.
    """

    count: int
    token: str
    subnet: str
    user_data: str
    unknown: bool = False


def _token() -> str:
    return uuid.uuid4().hex


class Ec2Fleet:
    """Owned by the loop's thread.

    An attempt that may have launched although no answer came is kept, and repeated with the same token until EC2 says
    what came of it; one that EC2 refused is not, since the demand may be gone by the time that EC2 agrees. An
    autoscaler that dies before leaves its instances to be found by their tag.
    """

    def __init__(
        self, instances: Instances, subnets: tuple[str, ...], clock: Clock, token: Callable[[], str] = _token
    ) -> None:
        """``subnets``: empty leaves the choice to EC2."""
        self._instances, self._clock, self._token = instances, clock, token
        self._refused = dict.fromkeys(subnets or ("",), float("-inf"))
        self._attempt: _Attempt | None = None
        self._log = logs.get("autoscaler")

    def instances(self, expected: Collection[str]) -> list[Instance]:
        return self._instances.all(expected)

    def launch(self, count: int, sure: Callable[[], bool]) -> list[str]:
        for subnet, refused in self._refused.items():
            if self._clock.ticks() - refused < REMEMBERED:
                continue
            attempt = _Attempt(count, self._token(), subnet, self._instances.user_data())
            if not sure():
                return []
            self._attempt = attempt
            try:
                return self.settle()
            except AWS_ERRORS as error:
                if classify(error) is not Trouble.CAPACITY:
                    raise
        raise NoCapacityError(f"no capacity in {', '.join(filter(None, self._refused)) or 'any subnet'}")

    def settle(self) -> list[str]:
        attempt = self._attempt
        if attempt is None:
            return []
        try:
            ids = self._instances.launch(attempt.count, attempt.token, attempt.subnet, attempt.user_data)
        except AWS_ERRORS as error:
            attempt.unknown |= classify(error) is Trouble.UNREACHABLE
            if not (attempt.unknown and is_passing(error)):
                self._attempt = None
            if classify(error) is Trouble.CAPACITY:
                self._refused[attempt.subnet] = self._clock.ticks()
                self._log.warning(
                    "fleet.capacity",
                    subnet=attempt.subnet,
                    asked=attempt.count,
                    seconds=REMEMBERED,
                    detail=explain(error),
                )
            raise
        self._attempt = None
        self._log.info("fleet.launched", asked=attempt.count, given=len(ids), subnet=attempt.subnet, instances=ids)
        return ids

    def drain(self, ids: list[str]) -> None:
        self._instances.drain(ids)

    def terminate(self, one: str) -> None:
        self._instances.terminate(one)

    def forget(self) -> None:
        self._attempt = None
