"""What the web nodes counted, checked against SQS."""

from collections.abc import Mapping
from typing import NamedTuple

from skylens import logs
from skylens.messages import Demand
from skylens.queues import Counts

LAG = 60.0
"""Seconds that SQS's counts may be behind."""
DISAGREE = 90.0
"""Seconds after which an SQS count above the web nodes' own is no longer called lag."""


DOUBT = 300.0
"""Seconds after which a node is doubted no more although SQS never agreed: there may be requests that no node counts,
as those of deleted images. What SQS has for longer than ``DISAGREE`` is believed all the same."""


class Counted(NamedTuple):
    """``arrivals``, ``completions``: per whole second over all nodes, latest last; ``trusted``: SQS was not needed."""

    outstanding: int
    oldest: float
    arrivals: tuple[int, ...]
    completions: tuple[int, ...]
    service_seconds: float
    trusted: bool


class DemandView:
    """Keeps each node's last answer. Times are monotonic seconds, passed in; owned by the loop's thread."""

    def __init__(self) -> None:
        self._log = logs.get("autoscaler")
        self._last: dict[str, Demand] = {}
        self._whole = False
        """Whether every web node that there is answered, and there is one."""
        self._answered: float | None = None
        self._doubted: dict[str, float] = {}
        """Nodes restarted or gone, and from when on an SQS count that agrees with the nodes settles it."""
        self._queue: Counts | None = None
        self._above: float | None = None
        self._overruled = False

    @property
    def queue(self) -> Counts | None:
        return self._queue

    def age(self, now: float) -> float | None:
        """Seconds since all nodes answered; None when they never did."""
        return None if self._answered is None else now - self._answered

    def fold(self, answers: Mapping[str, Demand | None], now: float) -> None:
        """Take in the answer of each node that there is; None for no answer."""
        for gone in self._last.keys() - answers.keys():
            del self._last[gone]
            self._doubted[gone] = now + LAG  # what it took in and nobody answered yet, SQS alone knows
        for node, demand in answers.items():
            if demand is not None:
                self._note_restart(node, demand, now)
                self._last[node] = demand
        self._whole = bool(answers) and None not in answers.values()
        if self._whole:
            self._answered = now

    def _note_restart(self, node: str, demand: Demand, now: float) -> None:
        """A process that started lately does not know what its predecessor took in.

        One that was young when first seen may as well be the first ever, so SQS's next word on it is good enough.
        """
        last, up = self._last.get(node), demand.at - demand.started
        if last is None and up < LAG:
            self._doubted[node] = now
        elif last is not None and last.started != demand.started:
            self._doubted[node] = now + LAG - up

    def count(self, counts: Counts, now: float) -> None:
        """Take in SQS's counts."""
        self._queue = counts
        total, known = sum(counts), self._known()
        patience = 0.0 if total <= known else DOUBT
        self._doubted = {node: until for node, until in self._doubted.items() if now < until + patience}
        if total <= known:
            self._above = None
        elif self._above is None:
            self._above = now

    def _known(self) -> int:
        return sum(demand.outstanding for demand in self._last.values())

    def counted(self, now: float) -> Counted:
        """The web nodes' count, or the larger of theirs and SQS's while theirs may be short."""
        last = self._last.values()
        known, queued = self._known(), sum(self._queue or ())
        trusted = self._whole and not self._doubted
        self._say(overruled=self._above is not None and now - self._above > DISAGREE, known=known, queued=queued)
        service = [seconds for demand in last for seconds in demand.service_times]
        return Counted(
            outstanding=known if trusted and not self._overruled else max(known, queued),
            oldest=max((demand.oldest for demand in last), default=0.0),
            arrivals=_summed([demand.arrivals for demand in last]),
            completions=_summed([demand.completions for demand in last]),
            service_seconds=sum(service) / len(service) if service else 0.0,
            trusted=trusted,
        )

    def _say(self, *, overruled: bool, known: int, queued: int) -> None:
        if overruled != self._overruled:
            self._overruled = overruled
            event = "demand.queue_believed" if overruled else "demand.web_believed"
            self._log.warning(event, web=known, queue=queued, seconds=DISAGREE)


def _summed(nodes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Whole seconds summed over the nodes, aligned at their latest; the current second is left out."""
    length = min((len(counts) for counts in nodes), default=1) - 1
    return (
        tuple(sum(second) for second in zip(*(counts[-length - 1 : -1] for counts in nodes), strict=True))
        if length
        else ()
    )
