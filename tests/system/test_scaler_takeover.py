"""``kill -9`` of the acting autoscaler at its launch call: the standby goes on, and nothing is launched twice.

The one that acts, and dies, is a second one, which nobody starts again; the standby is the one of ``skylens up``.
"""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import product
from os import kill
from typing import NamedTuple

import bursts
import pytest
from harness import Cloud
from relay import relaying

COUNT = 100
BOOT = 15
"""Seconds; longer than the lease, so that the burst still stands when the standby acts."""
LAUNCHED = {"fleet.launched", "fleet.resized"}
TAKEOVER_SECONDS = 15.0
MOMENTS = ("before its launch", "before the answer", "after its launch")


class Takeover(NamedTuple):
    course: bursts.Course
    found: int
    """Instances that the dead one left behind."""
    launched: int
    """Instances that there ever were."""
    acted: float
    """Seconds from the death to the standby's first decision that was carried out."""


class Victim:
    """The acting autoscaler, killed at one of the ``MOMENTS`` of its first launch call."""

    def __init__(self, cloud, relay, process, moment):
        self._cloud, self._process, self._moment = cloud, process, moment
        self.died = self.found = None
        relay.at_launch = self._launch

    def _launch(self, call):
        """On a thread of the relay's."""
        if self._moment == "before its launch":
            self._die()
            return None
        answer = call()
        if self._moment == "before the answer":
            self._die()
            return None
        return answer

    def await_death(self):
        if self._moment == "after its launch":
            self._cloud.wait(lambda: events(self._cloud, "scaler-2") & LAUNCHED, 60, "the acting one has launched")
            self._die()
        self._cloud.wait(lambda: self.found is not None, 60, "the acting one is dead")

    def _die(self):
        self.died = time.time()
        self._process.kill()
        self._process.wait()
        self.found = len(self._cloud.launched())


def events(cloud, name):
    return {record["event"] for record in cloud.records(name)}


def hand_over(cloud):
    """Let the second autoscaler act, and that of ``up``, which is started again, stand by."""
    cloud.wait(lambda: "scaler.standby" in events(cloud, "scaler-2"), 60, "the second one stands by")
    kill(cloud.state.scaler.pid, signal.SIGTERM)
    cloud.wait(lambda: "scaler.leading" in events(cloud, "scaler-2"), 60, "the second one acts")
    cloud.wait(lambda: "scaler.standby" in events(cloud, "scaler"), 60, "that of up stands by")


def first_act(cloud, after, left):
    """Unix seconds of the standby's first launch, or with nothing left to launch, of its first decision."""
    for record in cloud.records("scaler"):
        at = datetime.fromisoformat(record["timestamp"]).timestamp()
        if at > after and record["event"] in (LAUNCHED if left else {"scaler.decision"}):
            return at
    raise AssertionError(f"the standby never acted:\n{cloud.log('scaler')[-2000:]}")


def take_over(folder, fleet, moment, pictures):
    folder.mkdir()
    options = ("--fleet", fleet, "--policy", "greedy", "--max", str(bursts.MAXIMUM), "--boot", str(BOOT))
    with (
        Cloud(folder, *options) as cloud,
        relaying(cloud.environment["AWS_ENDPOINT_URL"]) as relay,
        cloud.second_scaler(AWS_ENDPOINT_URL=relay.url) as process,
    ):
        hand_over(cloud)
        victim = Victim(cloud, relay, process, moment)
        course = bursts.run(cloud, pictures[:COUNT], meanwhile=victim.await_death)
        acted = first_act(cloud, victim.died, bursts.MAXIMUM - victim.found) - victim.died
        taken = Takeover(course, victim.found, len(cloud.launched()), acted)
    print(
        f"\n{fleet:6} killed {moment:17} standby acts {acted:4.1f} s later; {taken.found} + "
        f"{taken.launched - taken.found} launched; {course}"
    )
    return taken


def takeovers(folder, pictures, together):
    """Each fleet with each moment, ``together`` at a time: both, and a future with its ``Takeover``."""
    with ThreadPoolExecutor(together) as clouds:
        running = [
            (fleet, moment, clouds.submit(take_over, folder / f"{fleet}-{number}", fleet, moment, pictures))
            for fleet, (number, moment) in product(("ec2", "asg"), enumerate(MOMENTS))
        ]
        yield from running


def check(taken, wanted, moment):
    """One autoscaler would have launched as many: the whole burst wants more than the maximum."""
    bursts.check(taken.course, wanted)
    assert (taken.found == 0) == (moment == "before its launch")
    assert taken.launched == bursts.MAXIMUM


@pytest.mark.system
def test_a_standby_launches_what_the_dead_autoscaler_had_not_and_nothing_twice(tmp_path, pictures, offline, subtests):
    wanted = bursts.expected(pictures[:COUNT], offline)
    for fleet, moment, future in takeovers(tmp_path, pictures, together=3):
        with subtests.test(fleet=fleet, moment=moment):
            check(future.result(), wanted, moment)


@pytest.mark.soak
def test_a_standby_acts_within_15_seconds_of_the_death(tmp_path, pictures, offline, subtests):
    wanted = bursts.expected(pictures[:COUNT], offline)
    for fleet, moment, future in takeovers(tmp_path, pictures, together=2):
        with subtests.test(fleet=fleet, moment=moment):
            taken = future.result()
            check(taken, wanted, moment)
            assert taken.acted <= TAKEOVER_SECONDS
