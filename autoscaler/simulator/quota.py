"""Several fleets side by side under one joint maximum."""

import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from autoscaler.limits import Limits
from autoscaler.policies import Policy
from autoscaler.simulator.model import Model
from autoscaler.simulator.ours import Ours
from autoscaler.simulator.run import Run, Seconds
from autoscaler.simulator.view import View
from autoscaler.simulator.world import simulate

LOAD_SECONDS = 60
"""Over how many seconds a fleet's load is measured."""


class Need(NamedTuple):
    """What one fleet tells about itself."""

    wanted: int
    """Instances that its own scaler asks for."""
    least: int
    active: int
    """Instances that work or will."""
    leaving: int
    """Instances that take no more work, but are not gone."""
    load: float
    """Work that arrives: seconds of it each second."""


class Job(NamedTuple):
    """One fleet's requests, in sorted seconds within the trace, and what sizes it."""

    arrivals: Seconds
    model: Model
    policy: Policy
    limits: Limits


def simulate_together(jobs: Sequence[Job], seconds: float, total: int, every: float) -> list[Run]:
    """Run each job on a fleet of its own; all fleets together never have more than ``total`` instances.

    All fleets decide at the same moments, every ``every`` seconds, each in its own thread, and ``divide`` has the last
    word. Raises ValueError when the instances at the start are too many already, and whatever ``simulate`` does.
    """
    if (initial := sum(job.model.initial for job in jobs)) > total:
        raise ValueError(f"{initial} instances at the start are more than the joint maximum {total}")
    quota = _Quota(total, len(jobs))
    scalers = [_Member(job, every, quota, place) for place, job in enumerate(jobs)]

    def play(job: Job, scaler: _Member) -> Run:
        try:
            return simulate(job.arrivals, seconds, scaler, job.model)
        finally:
            quota.close()

    with ThreadPoolExecutor(len(jobs)) as threads:
        return list(threads.map(play, jobs, scalers))


def divide(needs: Sequence[Need], total: int) -> list[int]:
    """How many active instances each fleet may have.

    When all want more than ``total``, instances are handed out one by one to whoever would have the least headroom,
    ``(instances - load) / sqrt(load)``: that many standard deviations of the load are covered (square-root staffing;
    Halfin and Whitt, "Heavy-traffic limits for queues with many exponential servers", 1981). Who has more than its
    share shrinks to it; who has less may launch only into the room that is free by now.
    """
    shares = _hand_out(needs, [need.least for need in needs], [need.wanted for need in needs], total)
    room = total - sum(need.leaving for need in needs)
    granted = _hand_out(needs, [need.active for need in needs], shares, room)
    return [min(both) for both in zip(shares, granted, strict=True)]


def _hand_out(needs: Sequence[Need], have: Sequence[int], goal: Sequence[int], total: int) -> list[int]:
    have = list(have)
    for _ in range(total - sum(have)):
        short = [place for place, count in enumerate(have) if count < goal[place]]
        if not short:
            break
        have[min(short, key=lambda place: _headroom(have[place], needs[place].load))] += 1
    return have


def _headroom(instances: int, load: float) -> float:
    return (instances - load) / math.sqrt(load) if load else math.inf


class _Quota:
    """Where the threads of all fleets meet at each decision."""

    def __init__(self, total: int, members: int) -> None:
        self.needs = [Need(0, 0, 0, 0, 0.0)] * members
        self.granted = [0] * members
        self._total = total
        self._meeting = threading.Barrier(members, action=self._divide)

    def ask(self, place: int, need: Need) -> int:
        """What is granted once all have asked; what was granted last when a fleet has answered its last request."""
        self.needs[place] = need
        with suppress(threading.BrokenBarrierError):
            self._meeting.wait()
        return self.granted[place]

    def close(self) -> None:
        self._meeting.abort()

    def _divide(self) -> None:
        self.granted = divide(self.needs, self._total)


class _Member(Ours):
    """Asks for what ``Ours`` would have, and takes what is granted."""

    def __init__(self, job: Job, every: float, quota: _Quota, place: int) -> None:
        super().__init__(job.policy, job.limits, f"job {place}", boot_seconds=job.model.boot.mean)
        self.every = every
        self._quota, self._place = quota, place

    def desired(self, view: View) -> int:
        lately = view.arrivals[-LOAD_SECONDS:]
        load = math.fsum(lately) / max(1, len(lately)) * view.service_seconds
        need = Need(super().desired(view), view.minimum, view.active, view.leaving, load)
        return self._quota.ask(self._place, need)
