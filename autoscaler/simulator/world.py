"""Requests and instances in virtual time."""

import math
from dataclasses import dataclass, field

import numpy as np

from autoscaler.simulator.fleet import Fleet
from autoscaler.simulator.lives import Lives
from autoscaler.simulator.model import Model
from autoscaler.simulator.run import Run, Seconds
from autoscaler.simulator.view import Scaler, View
from autoscaler.simulator.work import Work
from autoscaler.victims import choose
from skylens.messages import Worker

GRACE = 3600
"""Seconds after the trace's end until which requests may still be answered."""

_SERVICE = 0
_SERVICE_TIMES = 200
"""Over how many answered images the service time is measured, as a web node does."""


def simulate(arrivals: Seconds, seconds: float, scaler: Scaler, model: Model) -> Run:
    """Run ``scaler`` over ``arrivals``: sorted seconds in [0, ``seconds``).

    The n-th request's service time and the n-th launch's boot time depend on the model's seed alone, so that policies
    meet the same luck. The scaler is asked at 0 and then every ``scaler.every`` seconds until the last request is
    answered; one that is not answered ``GRACE`` seconds after the trace's end has waited for ever (infinity).
    Instances are paid for from launch to end, at most up to the trace's end or the end of their last work.

    A scaler may have ``idle_timeout``, seconds after which an instance without work leaves by itself (0: never), and
    ``resident``, how many never do; the model's minimum never does either. One with ``calls_off`` False lets an
    instance that is not wanted any more boot before it leaves, as one is told to leave by a tag that its worker reads.

    Raises ValueError for arrivals that are unsorted or outside the trace.
    """
    if len(arrivals) and not (arrivals[0] >= 0 and arrivals[-1] < seconds and bool(np.all(np.diff(arrivals) >= 0))):
        raise ValueError(f"arrivals must be sorted and within 0 and {seconds:g} seconds")
    if not model.initial <= model.maximum:
        raise ValueError(f"{model.initial} instances at the start are more than the maximum {model.maximum}")
    return _World(arrivals, seconds, scaler, model).run()


def service_times(model: Model, count: int) -> Seconds:
    """Of work for each of the first ``count`` requests, under any policy."""
    return model.service.draw(np.random.default_rng([model.seed, _SERVICE]), count)


@dataclass
class _Series:
    """One entry for each whole second."""

    arrivals: list[int] = field(default_factory=list)
    completions: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    fleet: list[int] = field(default_factory=list)


class _World:
    def __init__(self, arrivals: Seconds, seconds: float, scaler: Scaler, model: Model) -> None:
        self._arrivals, self._seconds, self._scaler, self._model = arrivals, seconds, scaler, model
        services = service_times(model, len(arrivals))
        self._services = services
        self._work = Work(arrivals, services)
        self._fleet = Fleet(model, seconds)
        self._series = _Series()
        self._arrived_by = np.searchsorted(arrivals, np.arange(math.ceil(seconds) + 1)).tolist()
        """How many requests arrived before each whole second."""
        self._now = 0.0
        self._arrived = 0
        self._noted = 0, 0
        """Arrivals and answers until the last whole second."""
        self._decisions = 0
        self._decide_at = 0.0
        self._service_seconds = (0, 0.0)
        self._lives = Lives(
            self._fleet,
            self._work,
            model,
            idle_timeout=float(getattr(scaler, "idle_timeout", 0.0)),
            staying=max(model.minimum, int(getattr(scaler, "resident", 0))),
            calls_off=bool(getattr(scaler, "calls_off", True)),
        )

    def run(self) -> Run:
        for _ in range(self._model.initial):
            self._lives.expect(self._fleet.place())
        self._lives.happen(self._now)
        self._decide()
        second = 0
        while not self._over(second):
            second += 1
            self._pass_second(second)
        return self._told()

    def _over(self, second: int) -> bool:
        if second < self._seconds:
            return False
        return self._work.answered == len(self._arrivals) or second >= self._seconds + GRACE

    def _pass_second(self, second: int) -> None:
        while self._now < second:
            at = min(second, self._decide_at, self._lives.next())
            self._advance(at)
            if at == second:
                self._note()
            if at == self._decide_at and not (at == second and self._over(second)):
                self._decide()

    def _advance(self, until: float) -> None:
        arrived = self._arrived_before(until)
        self._work.serve(self._now, until, arrived)
        self._now, self._arrived = until, arrived
        self._lives.happen(self._now)

    def _arrived_before(self, moment: float) -> int:
        if moment >= self._seconds:
            return len(self._arrivals)
        second = int(moment)
        return int(self._arrived_by[second] if second == moment else np.searchsorted(self._arrivals, moment))

    def _note(self) -> None:
        """Write down the second that ends."""
        work, series = self._work, self._series
        work.settle(self._now)
        series.arrivals.append(self._arrived - self._noted[0])
        series.completions.append(work.answered - self._noted[1])
        series.waiting.append(work.waiting(self._arrived))
        series.in_flight.append(work.in_flight)
        series.ready.append(len(self._fleet.ready))
        series.fleet.append(len(self._fleet))
        self._noted = self._arrived, work.answered

    def _decide(self) -> None:
        fleet, model = self._fleet, self._model
        self._work.settle(self._now)
        wanted = min(max(self._scaler.desired(self._view()), model.minimum), model.maximum)
        for _ in range(min(wanted - fleet.active, model.maximum - len(fleet))):
            self._lives.expect(fleet.launch(self._now))
        if wanted < fleet.active:
            for name in choose(self._workers(), fleet.active - wanted):
                self._lives.drain(int(name), self._now)
        self._decisions += 1
        self._decide_at = self._decisions * self._scaler.every

    def _view(self) -> View:
        work, fleet, model, series = self._work, self._fleet, self._model, self._series
        return View(
            now=self._now,
            concurrency=model.concurrency,
            minimum=model.minimum,
            maximum=model.maximum,
            sqs_lag=model.sqs_lag,
            ready=len(fleet.ready),
            coming=len(fleet.coming),
            leaving=len(fleet.leaving),
            waiting=work.waiting(self._arrived),
            in_flight=work.in_flight,
            oldest=self._now - float(self._arrivals[work.oldest]) if work.oldest < self._arrived else 0.0,
            service_seconds=self._measured_service(),
            boot_seconds=fleet.boot_seconds(),
            arrivals=series.arrivals,
            completions=series.completions,
            waiting_each_second=series.waiting,
            in_flight_each_second=series.in_flight,
            workers=self._workers() if self._scaler.needs_workers else (),
        )

    def _measured_service(self) -> float:
        """Mean over the last images before the oldest unanswered one."""
        last = self._work.oldest
        if last != self._service_seconds[0]:
            lately = self._services[max(0, last - _SERVICE_TIMES) : last]
            self._service_seconds = last, float(lately.sum()) / len(lately)
        return self._service_seconds[1]

    def _workers(self) -> tuple[Worker, ...]:
        fleet, now, busy = self._fleet, self._now, self._work.busy(self._now)
        workers = [one.worker("busy" if n in busy else "idle", now, busy.get(n, 0)) for n, one in fleet.ready.items()]
        workers += [one.worker("pending", now) for one in fleet.coming.values()]
        workers += [one.worker("draining", now, one.busy(now)) for one in fleet.leaving.values()]
        return tuple(workers)

    def _told(self) -> Run:
        fleet, work, series, seconds = self._fleet, self._work, self._series, math.ceil(self._seconds)
        for number in list(fleet.ready):
            fleet.drain(number, work.leave(number))
        for instance in list(fleet.all()):
            fleet.end(instance.number, self._now)
        return Run(
            policy=self._scaler.name,
            arrivals=np.array(series.arrivals[:seconds], np.int64),
            ready=np.array(series.ready[:seconds], np.int64),
            fleet=np.array(series.fleet[:seconds], np.int64),
            outstanding=np.array(series.waiting[:seconds]) + np.array(series.in_flight[:seconds], np.int64),
            waits=work.starts - self._arrivals,
            latencies=work.ends - self._arrivals,
            instance_seconds=fleet.instance_seconds,
            billed_seconds=fleet.billed_seconds,
            launches=fleet.launches,
            deaths=fleet.deaths,
        )
