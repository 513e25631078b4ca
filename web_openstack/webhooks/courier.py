"""Delivers webhooks: at least once each, again and again with growing pauses, until a result's retention is over.

One thread per web process, owned by ``main``, which lists what is pending and hands what is due to a few threads of its
own; those that answer clients never wait for a receiver. It stops when told, and lets what is being sent end. If it
dies between a receiver's answer and the deletion of the record, the claim runs out and the same event goes out again,
under the same ``webhook-id``, from whichever web node comes first.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from skylens import logs
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.clock import Clock
from skylens.errors import BadRequestError, DeletedError, ExpiredError, MessageError, SkylensError, UnknownJobError
from web_openstack.metrics import WebMetrics
from web_openstack.webhooks import signature
from web_openstack.webhooks.agenda import Agenda, Place
from web_openstack.webhooks.events import Events
from web_openstack.webhooks.hooks import Held, Hooks
from web_openstack.webhooks.post import UndeliveredError
from web_openstack.webhooks.target import Rules, Target

log = logs.get(__name__)

CLAIM = 120.0
"""Seconds for which nobody else tries: longer than an attempt takes, its host's look-up included."""
PAUSE, LONGEST_PAUSE, GROWTH = 5.0, 3600.0, 4
"""First and longest pause in seconds after a failed attempt, each so many times the one before."""
LOST, AGAIN = 5.0, 10.0
"""Seconds until the next look when another node has claimed it, and when AWS failed."""
LOOKS = (1.0, 60.0)
"""Shortest and longest pause between two looks at what is not finished: a quarter of its age in between."""
SWEEP, STRANGERS = 30.0, 60.0
"""Seconds between two listings, and until another node's new webhooks are looked at: that node comes first."""
GONE = 410
"""Status by which a receiver says that it wants no more of this."""

Send = Callable[[Target, Mapping[str, str], bytes], int]
"""Posts an event and gives the answer's status. Raises UndeliveredError."""


@dataclass(frozen=True)
class Delivery:
    """What is done for one webhook that is due. Every step may be repeated, by any web node."""

    hooks: Hooks
    events: Events
    secrets: Mapping[str, Sequence[bytes]]
    rules: Rules
    send: Send
    metrics: WebMetrics
    clock: Clock
    chance: Callable[[], float]
    """From 0 to 1: spreads repeats, so that those that failed together do not come together again."""

    def look(self, place: Place) -> float | None:
        """Deliver it if it is time to; seconds until the next look, None when nothing is left to do.

        Raises AWS's errors and UnavailableError.
        """
        if self.events.jobs.demand.is_outstanding(place.id, place.tenant):
            return self._patience(place)
        held = self.hooks.get(place)
        if held is None or held.age < held.hook.pause:
            return None if held is None else held.hook.pause - held.age
        try:
            body = self.events.of(held)
        except (DeletedError, ExpiredError, UnknownJobError) as error:
            self._give_up(held, error.code)
            return None
        if body is None:
            return self._patience(place)
        claimed = self.hooks.claim(held, CLAIM)
        return LOST if claimed is None else self._attempt(claimed, body)

    def _patience(self, place: Place) -> float:
        """Seconds between two looks at what is not finished; an answer that came is stored within a moment."""
        known = self.events.jobs.recent.get(place.id, place.tenant)
        return LOOKS[0] if known else min(max(self.events.age(place) / 4, LOOKS[0]), LOOKS[1])

    def _attempt(self, held: Held, body: bytes) -> float | None:
        status, trouble = self._send(held, body)
        is_taken = status // 100 == 2  # noqa: PLR2004 - any 2xx
        self.metrics.webhooks.labels("delivered" if is_taken else "failed").inc()
        (log.info if is_taken else log.warning)(
            "webhook.delivered" if is_taken else "webhook.failed",
            tenant=held.place.tenant,
            id=held.place.id,
            host=host(held.hook.url),
            attempt=held.hook.attempts,
            status=status,
            trouble=trouble,
        )
        if is_taken:
            self.hooks.drop(held.place)
            return None
        if status == GONE:
            self._give_up(held, "gone")
            return None
        pause = backoff(held.hook.attempts) * (0.8 + 0.4 * self.chance())
        self.hooks.postpone(held, pause)
        return pause

    def _send(self, held: Held, body: bytes) -> tuple[int, str]:
        """The receiver's status, or 0 and what went wrong."""
        secrets = self.secrets.get(held.place.tenant, ())
        if not secrets:
            return 0, "this tenant has no secret any more"
        headers = signature.headers(secrets, held.place.id, int(self.clock.now()), body)
        try:
            return self.send(self.rules.parse(held.hook.url), headers, body), ""
        except (UndeliveredError, BadRequestError) as error:
            return 0, str(error)

    def _give_up(self, held: Held, why: str) -> None:
        self.hooks.drop(held.place)
        self.metrics.webhooks.labels("given_up").inc()
        log.warning("webhook.given_up", tenant=held.place.tenant, id=held.place.id, why=why)


def backoff(attempts: int) -> float:
    """Seconds to pause after so many failed attempts, before chance spreads them."""
    pause: float = PAUSE * GROWTH ** (min(attempts, 10) - 1)
    return min(pause, LONGEST_PAUSE)


def host(url: str) -> str:
    """All of a URL that a log may hold: its path and query may be secrets."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0]


class Courier(threading.Thread):
    def __init__(self, delivery: Delivery, agenda: Agenda, workers: Executor, clock: Clock) -> None:
        super().__init__(name="webhooks", daemon=True)
        self._delivery, self._agenda, self._workers, self._clock = delivery, agenda, workers, clock
        self._halt = threading.Event()
        self._sweep_at = clock.ticks()
        self._is_first = True

    def halt(self) -> None:
        """Begin nothing more."""
        self._halt.set()
        self._agenda.wake()

    def run(self) -> None:
        while not self._halt.is_set():
            self.turn()
            self._agenda.rest(max(0.0, self._sweep_at - self._clock.ticks()))

    def turn(self) -> None:
        """List if it is time to, and hand out what is due."""
        if self._clock.ticks() >= self._sweep_at:
            self._sweep_at = self._clock.ticks() + SWEEP
            try:
                self.sweep()
            except Exception as error:  # what is known goes on, and the next listing comes
                log.warning("webhooks.not_listed", trouble=explain(error), exc_info=not isinstance(error, AWS_ERRORS))
        if self._halt.is_set():
            return
        for place in self._agenda.take():
            try:
                self._workers.submit(self._work, place)
            except RuntimeError:  # the system gives no more threads
                log.exception("webhook.no_thread", tenant=place.tenant, id=place.id)
                self._agenda.done(place, AGAIN)

    def sweep(self) -> None:
        """See what lies in the bucket. What the process before this one left is due at once. Raises AWS's errors."""
        began, is_first = self._clock.ticks(), self._is_first
        age = self._delivery.events.age
        self._agenda.listed(
            ((place, 0.0 if is_first else max(0.0, STRANGERS - age(place))) for place in self._delivery.hooks.places()),
            began,
        )
        self._is_first = False

    def _work(self, place: Place) -> None:
        pause: float | None = AGAIN
        try:
            pause = self._delivery.look(place)
        except (*AWS_ERRORS, SkylensError) as error:
            pause = LONGEST_PAUSE if isinstance(error, MessageError) else AGAIN
            log.warning("webhook.not_looked_at", tenant=place.tenant, id=place.id, trouble=explain(error))
        except Exception:  # the others go on
            log.exception("webhook.broke", tenant=place.tenant, id=place.id)
        finally:
            self._agenda.done(place, pause)
