"""The housekeeping thread: deletions elsewhere, answers not stored or astray, dead letters, forgotten queues, memory.

One thread per web process, owned by ``main``; stops within one round. If it dies with the process, another web node or
the next start does the same work: every step may be repeated.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from skylens import logs
from skylens.aws_errors import AWS_ERRORS, explain
from skylens.clock import Clock
from skylens.errors import ExpiredError, MessageError, SkylensError
from skylens.instances import DEPLOYMENT_TAG
from skylens.queues import SqsQueue, SqsQueues
from web_openstack.jobs import Jobs

log = logs.get(__name__)

SEEN_TAG = "skylens:seen"
"""Unix seconds when the owner of a reply queue was last alive."""
SEEN_EVERY, FORGOTTEN = 300.0, 3600.0
"""Seconds between two signs of life, and without one until a queue is swept."""
ASTRAY, LOOKS = 60.0, 20
"""Seconds after which an outstanding job's answer is looked for in the bucket, and how many at a time."""
ROUND = 5.0


def tags(deployment: str, clock: Clock) -> dict[str, str]:
    """Of a reply queue whose owner is alive now."""
    return {DEPLOYMENT_TAG: deployment, SEEN_TAG: str(int(clock.now()))}


@dataclass
class ReplyQueues:
    """Keeps this node's reply queue as it is to be, tagged as alive, and sweeps those whose owner is gone.

    A web node's role may make such a queue, so who stole it may have made ours, or changed it, with a policy that lets
    the thief read on when the role is lost: what was set is taken back again and again. One that forbids that is for
    the operator, whose ``provision.yml`` does the same.
    """

    queues: SqsQueues
    own: SqsQueue
    deployment: str
    prefix: str
    attributes: Mapping[str, str]
    clock: Clock
    _next: float = float("-inf")

    def keep(self) -> None:
        if self.clock.ticks() < self._next:
            return
        self._next = self.clock.ticks() + SEEN_EVERY
        try:
            self.queues.reset(self.own, self.attributes)
        except AWS_ERRORS as error:  # and untagged, another node would take it for forgotten
            log.error("replies.not_reset", queue=self.own.url, trouble=explain(error), help="run provision.yml")  # noqa: TRY400
        self.queues.tag(self.own, tags(self.deployment, self.clock))
        for queue, told in self.queues.tagged(self.prefix):
            last = told.get(SEEN_TAG, "")
            if queue.url != self.own.url and last.isdigit() and self.clock.now() - int(last) > FORGOTTEN:
                log.info("replies.swept", queue=queue.url)
                self.queues.remove(queue)


@dataclass
class Astray:
    """Looks in the output bucket for answers whose reply message never came, a few jobs a round, all in turn."""

    jobs: Jobs
    _from: int = 0

    def look(self) -> None:
        waiting = self.jobs.demand.older_than(ASTRAY)
        start = self._from % len(waiting) if waiting else 0
        self._from = start + LOOKS
        for job, tenant in waiting[start : start + LOOKS]:
            try:
                if self.jobs.look(job, tenant):
                    log.warning("replies.astray", id=job)
            except ExpiredError:
                self.jobs.demand.withdrawn(job, tenant)
            except MessageError:
                log.exception("outcome.unreadable", id=job)


class Housekeeping(threading.Thread):
    def __init__(self, chores: list[Callable[[], object]]) -> None:
        super().__init__(name="housekeeping", daemon=True)
        self._chores = chores
        self._halt = threading.Event()

    def halt(self) -> None:
        self._halt.set()

    def run(self) -> None:
        while not self._halt.wait(ROUND):
            for chore in self._chores:
                try:
                    chore()
                except (*AWS_ERRORS, SkylensError) as error:
                    log.warning("housekeeping.failed", trouble=explain(error))
                except Exception:  # the other chores, and the next round, go on
                    log.exception("housekeeping.broke")
