"""CloudWatch in memory."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from skylens.clock import Clock
from skylens.cloudwatch import Cpu
from skylens.fakes.script import Script


@dataclass
class FakeCloudWatch:
    """CloudWatch in memory. ``load``: what each instance is to have told lately."""

    clock: Clock = field(default_factory=Clock)
    script: Script = field(default_factory=Script)
    published: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    """Each call of ``publish`` with its time in Unix seconds."""
    load: dict[str, Cpu] = field(default_factory=dict)

    def publish(self, values: Mapping[str, float]) -> None:
        self.script.called("publish", dict(values))
        self.published.append((self.clock.now(), dict(values)))

    def cpu(self, instances: Collection[str]) -> Cpu | None:
        self.script.called("cpu", *sorted(instances))
        told = [self.load[one] for one in instances if one in self.load]
        if not told:
            return None
        return Cpu(sum(one.percent for one in told) / len(told), max(one.age for one in told))
