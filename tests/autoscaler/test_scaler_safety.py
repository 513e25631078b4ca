from hypothesis import given, settings
from hypothesis import strategies as st
from scaler_world import UNREACHABLE, World

from skylens.fakes import aws_error
from skylens.queues import Counts

happening = st.sampled_from(["", "", "", "throttle", "lose", "unreachable", "kill", "stop", "down", "up", "sqs", "end"])


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 30), happening), min_size=5, max_size=60),
    lag=st.integers(0, 8),
    boot=st.integers(0, 20),
    maximum=st.integers(1, 8),
    capacity=st.integers(0, 10),
    policy=st.sampled_from(["greedy", "deficit"]),
)
def test_whatever_happens_the_fleet_is_never_above_the_maximum_and_no_busy_worker_is_terminated(
    steps, lag, boot, maximum, capacity, policy
):
    world = World(boot=boot, idle_timeout=4 if policy == "deficit" else 0)
    world.ec2.lag, world.ec2.capacity = lag, capacity
    options = {"policy": policy, "maximum": maximum, "scale_in_seconds": 2, "boot_timeout": 100}
    world.autoscaler(**options)
    for arrivals, event in steps:
        world.web.outstanding += arrivals
        happen(world, event, options)
        world.second()
        assert world.ec2.peak <= maximum
    world.web.down, world.ec2.lose = False, 0
    world.seconds(10)
    assert world.ec2.peak <= maximum
    assert world.ec2.killed_at_work == []


def happen(world, event, options):
    if event == "throttle":
        world.ec2.script.fail("launch", aws_error("RequestLimitExceeded"))
    elif event == "unreachable":
        world.ec2.script.fail("all", UNREACHABLE, times=3)
    elif event == "lose":
        world.ec2.lose = 1
    elif event in {"kill", "stop"}:
        scaler = world.autoscalers[-1]
        scaler.dies() if event == "kill" else scaler.stops()
        world.autoscaler(**options)
    elif event in {"down", "up"}:
        world.web.down = event == "down"
    elif event == "sqs":
        world.requests.shown = Counts(50, 0)
    elif event == "end":
        for one in world.ec2.alive[-1:]:
            if not (one in world.machines and world.machines[one].up):
                world.ec2.ends(one)
