"""EC2 in memory."""

from collections.abc import Collection
from dataclasses import dataclass, field

from skylens.clock import Clock
from skylens.fakes.script import Script, aws_error
from skylens.instances import ALIVE, ANYWHERE, Instance, Place


@dataclass
class FakeInstances:
    """EC2 in memory: honours client tokens, may lag behind its own launches, may have less capacity than asked."""

    clock: Clock = field(default_factory=Clock)
    lag: float = 0.0
    """Seconds until a launched instance shows up in ``all()``."""
    capacity: int = 1_000_000
    """How many may exist at once; a launch of more gets fewer, or InsufficientInstanceCapacity for none."""
    script: Script = field(default_factory=Script)
    instances: dict[str, Instance] = field(default_factory=dict)
    tokens: dict[str, list[str]] = field(default_factory=dict)

    @property
    def alive(self) -> list[str]:
        return [one.id for one in self.instances.values() if one.state in ALIVE]

    def all(self, expected: Collection[str] = ()) -> list[Instance]:
        self.script.called("all")
        seen = self.clock.now() - self.lag
        return [
            one
            for one in self.instances.values()
            if one.launched <= seen and (one.state in ALIVE or one.id in expected)
        ]

    def sweep(self, expected: Collection[str] = ()) -> list[Instance] | None:
        return self.all(expected)

    def user_data(self) -> str:
        self.script.called("user_data")
        return ""

    def launch(self, count: int, token: str, place: Place = ANYWHERE, user_data: str = "") -> list[str]:
        del user_data
        self.script.called("launch", count, token, place)
        return self.give(count, token, place)

    def give(self, count: int, token: str, place: Place = ANYWHERE) -> list[str]:
        """What ``launch`` does once it was called."""
        if token not in self.tokens:
            given = min(count, self.capacity - len(self.alive))
            if given < 1:
                raise aws_error("InsufficientInstanceCapacity")
            made = [f"i-{len(self.tokens):08x}{number:09x}" for number in range(given)]
            self.tokens[token] = made
            for one in made:
                self.instances[one] = Instance(
                    one, "pending", self.clock.now(), draining=False, type=place.type, spot=place.spot
                )
        return self.tokens[token]

    def drain(self, ids: list[str]) -> None:
        self.script.called("drain", *ids)
        for one in set(ids) & set(self.instances):
            self.instances[one] = self.instances[one]._replace(draining=True)

    def settle_in(self, one: str) -> None:
        self.script.called("settle_in", one)
        if one in self.instances:
            self.instances[one] = self.instances[one]._replace(resident=True)

    def terminate(self, one: str) -> None:
        self.script.called("terminate", one)
        if one in self.instances:
            self.instances[one] = self.instances[one]._replace(state="terminated")
