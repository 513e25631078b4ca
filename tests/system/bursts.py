"""A burst of images on a local cloud: what became of its images and of the fleet."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import requests

MAXIMUM = 4
TIMEOUT = 180
"""Seconds that a burst, or the way back to the minimum, may take before the test gives up."""


class Course(NamedTuple):
    """How a burst went. Times are seconds since right before its first request."""

    launch: float
    """Until EC2 showed more instances than before: the launch call, and up to 100 ms more."""
    answered: float
    settled: float
    """Until the fleet was at its minimum again."""
    sizes: list[int]
    """Each size of the fleet in turn, as sampled every 100 ms."""
    answers: list[tuple[int, str]]
    """Status and text that each client got."""
    outcomes: int
    """Objects in the output bucket."""
    left: dict[str, tuple[int, int]]
    """Messages left in the queues of requests, visible and in flight."""

    def __str__(self) -> str:
        way = "-".join(map(str, self.sizes))
        times = f"launch {self.launch:5.2f} s, all answered {self.answered:5.1f} s, at minimum {self.settled:5.1f} s"
        return f"{times}, largest fleet {max(self.sizes)} ({way})"


def run(cloud, pictures, minimum=0, meanwhile=lambda: None) -> Course:
    """Send each picture by a plain client of its own, all at once, and follow the fleet back to ``minimum``.

    ``meanwhile``: called once all requests are on their way.
    """
    cloud.wait(lambda: len(cloud.instances()) == minimum, TIMEOUT, "the fleet is at its minimum")
    with cloud.watch_fleet() as fleet:
        cloud.wait(lambda: fleet.samples, TIMEOUT, "the fleet was looked at")
        began = fleet.elapsed
        with ThreadPoolExecutor(len(pictures)) as clients:
            asked = [clients.submit(post, cloud.url, one) for one in pictures]
            meanwhile()
            answers = [one.result() for one in asked]
        answered = fleet.elapsed
        cloud.wait(lambda: fleet.samples[-1][1] == minimum, TIMEOUT, "the fleet is at its minimum again")
        settled = fleet.elapsed
    return Course(
        launch=next(at for at, count in fleet.samples if at > began and count > minimum) - began,
        answered=answered - began,
        settled=settled - began,
        sizes=fleet.sizes,
        answers=answers,
        outcomes=len(cloud.keys("output")),
        left={queue: cloud.messages(queue) for queue in ("requests", "requests-dead")},
    )


def post(url, named):
    answer = requests.post(url, files={"inputFile": named}, timeout=TIMEOUT)
    return answer.status_code, answer.text


def expected(pictures, offline):
    """What each client should get: its own stem and label."""
    return [(200, f"{name.rpartition('.')[0]}:{offline.label(data)}") for name, data in pictures]


def check(course, wanted, minimum=0):
    """Nothing is lost or answered twice, and the fleet went from its minimum up, never too far, and back."""
    assert course.answers == wanted
    assert course.outcomes == len(wanted)
    assert course.left == {"requests": (0, 0), "requests-dead": (0, 0)}
    assert minimum < max(course.sizes) <= MAXIMUM
    assert (course.sizes[0], course.sizes[-1]) == (minimum, minimum)
