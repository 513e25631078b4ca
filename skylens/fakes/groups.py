"""Auto Scaling in memory."""

from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from skylens.fakes.instances import FakeInstances
from skylens.fakes.script import Script, aws_error
from skylens.groups import WAITING, GroupView


@dataclass
class FakeGroup:
    """An Auto Scaling group that launches into ``instances`` and replaces nobody.

    It may be slow to launch and slow to show what it did; what ``instances`` has no capacity for it tries in vain.
    """

    instances: FakeInstances
    maximum: int = 1_000_000
    delay: float = 0.0
    """Seconds from the wish to the launch."""
    lag: float = 0.0
    """Seconds by which ``view()`` is behind."""
    hooked: bool = False
    """Whether a removed member waits in a termination hook, alive."""
    protected: bool = True
    """Whether a lower desired capacity leaves the members alone; else the first ones have to go."""
    script: Script = field(default_factory=Script)
    desired: int = 0
    members: dict[str, str] = field(default_factory=dict)
    failed: tuple[float, str] = (0.0, "")
    """When a launch failed last, and why."""
    _wished: float = 0.0
    _views: list[tuple[float, GroupView]] = field(default_factory=list)

    def view(self) -> GroupView:
        self.script.called("view")
        self._work()
        seen = self.instances.clock.now() - self.lag
        return next((view for at, view in reversed(self._views) if at <= seen), GroupView(0, self.maximum, {}))

    def resize(self, desired: int) -> None:
        self.script.called("resize", desired)
        if desired > self.maximum:
            raise aws_error("ValidationError")
        self.desired, self._wished = desired, self.instances.clock.now()
        self._work()

    def limit(self, maximum: int, desired: int) -> None:
        self.script.called("limit", maximum, desired)
        self.maximum, self.desired = maximum, desired

    def remove(self, one: str) -> None:
        self.script.called("remove", one)
        if self.members.get(one) == "InService":
            self.desired -= 1
            self._take(one)
            self._work()

    def complete(self, one: str) -> None:
        self.script.called("complete", one)
        if self.members.get(one) == WAITING:
            self._end(one)
            self._work()

    def refusal(self, since: float) -> str:
        self.script.called("refusal", since)
        self._work()
        at, why = self.failed
        return why if at > since else ""

    def _take(self, one: str) -> None:
        self.members[one] = WAITING
        if not self.hooked:
            self._end(one)

    def _end(self, one: str) -> None:
        del self.members[one]
        self.instances.instances[one] = self.instances.instances[one]._replace(state="terminated")

    def _work(self) -> None:
        """Launch what lacks, take what is too much, and keep what is to be shown."""
        now, view = self.instances.clock.now(), GroupView(self.desired, self.maximum, self.members)
        if not self.protected:
            for one in sorted(view.staying)[: max(0, len(view.staying) - self.desired)]:
                self._take(one)
        if view.coming and now >= self._wished + self.delay:
            try:
                made = self.instances.give(view.coming, f"group {len(self.instances.tokens)}")
                self.members |= dict.fromkeys(made, "InService")
            except ClientError as error:
                self.failed = now, str(error)
        shown = GroupView(self.desired, self.maximum, dict(self.members))
        if not self._views or self._views[-1][1] != shown:
            self._views.append((now, shown))
