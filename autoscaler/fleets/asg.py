"""Fleet ``asg``: an Auto Scaling group whose desired capacity is set; its own launch options say where and as what."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from autoscaler.fleets import Look, NoCapacityError
from autoscaler.fleets.refusals import Refusals
from autoscaler.observation import Observation
from autoscaler.roster import UNSEEN
from skylens import logs
from skylens.aws_errors import AWS_ERRORS
from skylens.clock import Clock
from skylens.groups import WAITING, Group, GroupView
from skylens.instances import Instances

ASK_EVERY = 5.0
"""Seconds between two looks at why nothing comes."""
UP = ("pending", "running")
REMOVING = 60.0
"""Seconds for which a view that still counts a removed member is called late."""


class AsgFleet:
    """Owned by the loop's thread.

    Capacities are absolute, and counted from what the last look showed, as the decision was that they follow from: a
    call that is repeated, or whose answer was lost, launches nothing twice.

    The group is to have its processes ReplaceUnhealthy, AZRebalance and AlarmNotification suspended, a minimum size of
    0 and new instances protected from scale-in: then nobody ends a working member but through ``terminate``. A worker
    that leaves ends its own instance; the group lists that on, so ``tend`` removes it, and one fewer is desired.
    """

    def __init__(self, instances: Instances, group: Group, clock: Clock) -> None:
        """``instances``: those of the deployment, whose tag the group gives to its members."""
        self._instances, self._group, self._clock = instances, group, clock
        self._seen: GroupView | None = None
        self._before: GroupView | None = None
        """The group when a look that goes on began."""
        self._told = 0
        """The desired capacity that the group has, as far as is known."""
        self._ended: list[str] = []
        """Members to remove; ``_waiting``: those to let go."""
        self._waiting: list[str] = []
        self._unseen: dict[str, float] = {}
        """Members that EC2 does not show, and since when."""
        self._removed: dict[str, float] = {}
        self._asked = clock.now()
        self._checked, self._refusals = float("-inf"), Refusals()
        self._why = ""
        self._log = logs.get("autoscaler")

    def look(self, expected: Collection[str]) -> Look | None:
        """The group as it is when the look is complete; its members are those that it had when the look began."""
        before, self._before = self._before or self._view(), None
        step = self._instances.all if self._seen is None else self._instances.sweep
        instances = step({*expected, *before.members})
        if instances is None:
            self._before = before
            return None
        view = self._view()
        states = {instance.id: instance.state for instance in instances}
        self._note_unseen(view, states)
        self._ended = [one for one in view.staying if self._has_ended(one, states)]
        self._waiting = [one for one, state in view.members.items() if state == WAITING and self._is_over(one, states)]
        self._seen, self._told = view, view.desired
        self._check(view)
        return Look(instances, view.coming + len(self._unseen.keys() - set(self._ended) - set(expected)))

    def _view(self) -> GroupView:
        """The group, less what was removed if that is not shown yet."""
        view, now = self._group.view(), self._clock.ticks()
        self._removed = {one: at for one, at in self._removed.items() if now - at < REMOVING}
        for one in view.staying & self._removed.keys():
            view = view.without(one)
        return view

    def _note_unseen(self, view: GroupView, states: Mapping[str, str]) -> None:
        now = self._clock.ticks()
        self._unseen = {one: self._unseen.get(one, now) for one in view.staying - states.keys()}

    def _has_ended(self, one: str, states: Mapping[str, str]) -> bool:
        if one in self._unseen:
            return self._clock.ticks() - self._unseen[one] > UNSEEN
        return states[one] not in UP

    def _is_over(self, one: str, states: Mapping[str, str]) -> bool:
        """Nothing is left to wait for. One that EC2 does not show may be at work; its hook runs out by itself."""
        return one in self._removed or states.get(one, "running") not in UP

    def _check(self, view: GroupView) -> None:
        """Learn whether the group tries in vain."""
        now = self._clock.ticks()
        if not view.coming or self.no_capacity() or now - self._checked < ASK_EVERY:
            return
        self._checked = now
        self._why = self._group.refusal(self._asked)
        if self._why:
            seconds, self._asked = self._refusals.add(now), self._clock.now()  # each failure counts once
            self._log.warning("fleet.capacity", asked=view.coming, seconds=seconds, detail=self._why)

    def no_capacity(self) -> float:
        return self._refusals.left(self._clock.ticks())

    def unsure(self) -> int:
        """None: what the group was asked for is what it wants, and is coming."""
        return 0

    def settle(self) -> list[str]:
        """No answer is worth waiting for: the next look tells what came of it."""
        return []

    def launch(self, count: int, sure: Callable[[], bool]) -> list[str]:
        """Ask for so many more than the last look showed. Their ids are not known yet."""
        if self.no_capacity():
            raise NoCapacityError(f"the group tried in vain: {self._why}")
        view = self._last()
        base = max(view.desired, len(view.staying))
        if base - len(self._ended) >= view.maximum:
            raise NoCapacityError(f"the group has room for {view.maximum} instances and no more")
        desired = min(base + count, view.maximum)
        if desired > self._told and sure():
            self._asked = self._clock.now()
            self._resize(desired)
        return []

    def _last(self) -> GroupView:
        if self._seen is None:
            self._seen = self._view()
            self._told = self._seen.desired
        return self._seen

    def _resize(self, desired: int) -> None:
        self._group.resize(desired)
        self._log.info("fleet.resized", old=self._told, new=desired)
        self._told = desired

    def call_off(self, count: int) -> int:
        """Only what has no member yet, so nobody who may be at work is in the way."""
        view = self._last()
        fewer = min(count, view.coming)
        if fewer and view.desired - fewer < self._told:
            self._resize(view.desired - fewer)
        return fewer

    def drain(self, ids: list[str]) -> None:
        """Their workers finish and end their instances, which ``tend`` then removes from the group."""
        self._instances.drain(ids)

    def settle_in(self, one: str) -> None:
        self._instances.settle_in(one)

    def terminate(self, one: str) -> None:
        """A member goes with its place in the group; an instance that is no member just goes."""
        if one in self._last().staying:
            self._remove(one)
        else:
            self._instances.terminate(one)

    def _remove(self, one: str) -> None:
        self._group.remove(one)
        self._removed[one] = self._clock.ticks()
        self._seen = self._last().without(one)
        self._told -= 1

    def tend(self, seen: Observation) -> None:
        """Remove members that ended, let those go that wait for nothing, give up what the group tries in vain.

        A removal that comes late, when another autoscaler acts, harms nobody: the member has ended.
        """
        del seen
        view = self._last()
        if self.no_capacity() and view.coming:
            self.call_off(view.coming)
        waiting, self._waiting = self._waiting, []
        ended, self._ended = self._ended, []
        do_all([partial(self._group.complete, one) for one in waiting] + [partial(self._remove, one) for one in ended])

    def forget(self) -> None:
        self._seen, self._before, self._ended, self._waiting = None, None, [], []
        self._removed.clear()


def do_all(steps: Sequence[Callable[[], object]]) -> None:
    """Do each, whatever fails before it; then raise the first AWS error, if there was one."""
    errors = []
    for step in steps:
        try:
            step()
        except AWS_ERRORS as error:
            errors.append(error)
    if errors:
        raise errors[0]
