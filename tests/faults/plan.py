"""What is to happen to which call: scripted by its number, or at random by a seed and a share. Pure."""

import random
from collections import Counter
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from operation import Operation

Kind = Literal[
    "late",  # the call is made after ``seconds``
    "refused",  # not made; ``how``: a kind of ``refusals.WORDS``
    "reset",  # not made, the connection is reset
    "torn",  # made, the connection is reset in the middle of the answer
    "lost",  # made, the connection is reset before the answer
    "twice",  # made twice; the client hears of the second
    "given again",  # ReceiveMessage: what is handed out comes again, with another receipt
    "reordered",  # ReceiveMessage: last first; SendMessage: overtaken by what is sent in the next ``seconds``
    "behind",  # GetQueueAttributes: what it was ``seconds`` ago
    "skewed",  # the answer's Date is ``seconds`` ahead
]
FAILING = {"refused", "reset", "torn", "lost"}
"""The kinds after which the client has no answer, or a bad one."""


class Fault(msgspec.Struct, frozen=True):
    kind: Kind
    how: str = ""
    seconds: float = 0.0


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """``operation``, ``resource``: shell patterns. ``calls``: which of the calls that match, from 1; or a ``share``."""

    operation: str = "*"
    resource: str = "*"
    calls: tuple[int, ...] = ()
    share: float = 0.0
    """Of the calls that match, from 0 to 1."""
    faults: tuple[Fault, ...]
    """One of them is drawn, each as often as the others."""

    def concerns(self, operation: Operation) -> bool:
        return fnmatchcase(str(operation), self.operation) and fnmatchcase(operation.resource, self.resource)

    def strikes(self, number: int, chance: random.Random) -> Fault | None:
        """What happens to the ``number``-th call, from 1."""
        if number in self.calls or (self.share and chance.random() < self.share):
            return chance.choice(self.faults)
        return None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The first rule that strikes counts; the n-th call that a rule concerns has the same fault for the same seed."""

    rules: tuple[Rule, ...] = ()
    seed: int = 0


class Script:
    """A plan with the numbers of the calls so far."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._calls: Counter[int] = Counter()

    def next(self, operation: Operation) -> Fault | None:
        """What is to happen to this call."""
        found = None
        for index, rule in enumerate(self._plan.rules):
            if rule.concerns(operation):
                self._calls[index] += 1
                number = self._calls[index]
                found = found or rule.strikes(number, random.Random(f"{self._plan.seed}/{index}/{number}"))
        return found


def always(kind: Kind, how: str = "", operation: str = "*", resource: str = "*", seconds: float = 0.0) -> Plan:
    """Every call that matches has this fault."""
    return Plan(rules=(Rule(operation=operation, resource=resource, share=1.0, faults=(Fault(kind, how, seconds),)),))


def scripted(
    kind: Kind, how: str = "", operation: str = "*", calls: tuple[int, ...] = (1,), seconds: float = 0
) -> Plan:
    """The calls of these numbers have this fault."""
    return Plan(rules=(Rule(operation=operation, calls=calls, faults=(Fault(kind, how),)),))
