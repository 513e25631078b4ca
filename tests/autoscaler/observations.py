"""Short ways to write observations and workers."""

from autoscaler.observation import Observation
from skylens.messages import Worker


def workers(**states):
    """``workers(idle=2, busy=1)``."""
    return tuple(
        Worker(instance=f"{state}-{number}", state=state, age=100.0, in_flight=2 if state == "busy" else 0)
        for state, count in states.items()
        for number in range(count)
    )


def observation(*, outstanding=0, at=1000.0, minimum=0, maximum=20, stale=(), **states):
    return Observation(
        at=at,
        outstanding=outstanding,
        oldest=0.0,
        arrivals=(),
        completions=(),
        queue=None,
        workers=workers(**states),
        minimum=minimum,
        maximum=maximum,
        slots=4,
        boot_seconds=30.0,
        service_seconds=0.1,
        stale=frozenset(stale),
    )
