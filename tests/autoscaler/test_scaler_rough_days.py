"""Clocks set back, lost answers, old notes, tags that do not take: none may cost a launch, or work."""

import pytest
from botocore.exceptions import CredentialRetrievalError
from msgspec import structs
from observations import observation
from scaler_world import UNREACHABLE, World

from autoscaler.fleets.asg import do_all
from autoscaler.limits import Calm, Limits, clamp
from autoscaler.observation import DEMAND, INSTANCES, Decision
from autoscaler.policies.caution import MOST
from autoscaler.policies.foresight import Foresight, Memory
from skylens.errors import SettingsError
from skylens.fakes import aws_error
from skylens.messages import decode, encode
from skylens.settings import ScalerSettings, load


def test_after_days_without_an_autoscaler_old_notes_of_the_lease_hold_nothing_back():
    world = World()
    first = world.autoscaler()
    world.web.outstanding = 16
    world.seconds(3)
    first.stops()
    world.ec2.instances.clear()
    world.clock.sleep(3 * 86400)
    world.autoscaler()
    world.seconds(5)
    assert world.alive == 4


@pytest.mark.parametrize(
    "error",
    [aws_error("ExpiredToken", 403), CredentialRetrievalError(provider="x", error_msg="y"), aws_error("Throttling")],
)
def test_a_launch_whose_answer_was_lost_is_kept_while_its_repeat_cannot_be_asked(error):
    world = World(boot=60)
    world.ec2.lose, world.ec2.lag = 1, 30
    world.autoscaler(maximum=4)
    world.web.outstanding = 40
    world.second()
    world.ec2.script.fail("launch", error, times=3)
    world.seconds(20)
    assert (world.launches, world.alive) == (4, 4)


def test_an_instance_that_never_got_its_drain_tag_is_drained_again():
    world = World(boot=300, speed=0)
    world.autoscaler(scale_in_seconds=0, boot_timeout=3600)
    world.web.outstanding = 16
    world.seconds(2)
    world.ec2.drain = lambda _: None
    world.web.outstanding = 0
    world.seconds(10)
    del world.ec2.drain
    world.seconds(90)
    assert all(one.draining or one.state == "terminated" for one in world.ec2.instances.values())


def test_a_worker_whose_clock_was_set_back_is_not_taken_for_lost():
    world = World(speed=0)
    scaler = world.autoscaler()
    world.web.outstanding = 4
    world.seconds(20)
    hear = scaler.roster.hear
    scaler.roster.hear = lambda event, sent: hear(structs.replace(event, at=event.at - 3600), sent)
    world.seconds(400)
    assert world.ec2.killed_at_work == []
    assert world.alive == 1


def test_a_clock_set_back_does_not_freeze_foresight():
    policy = Foresight(ScalerSettings(scale_in_seconds=0))
    for second in range(30):
        policy.decide(structs.replace(observation(at=10_000.0 + second), arrivals=(200,)))
    for second in range(120):
        wanted = policy.decide(structs.replace(observation(at=6400.0 + second, idle=7), arrivals=(0,)))
    assert wanted.desired == 0


def test_a_clock_set_back_does_not_freeze_scale_in():
    limits, calm, allowed = Limits(step=20, scale_in_seconds=10), Calm(since=10_000.0, most=0), []
    for second in range(12):
        seen = observation(at=6400.0 + second, idle=7)
        decision, calm = clamp(Decision(desired=0, reason=""), seen, limits, calm)
        allowed.append(decision.desired)
    assert allowed[:11] == [7] * 10 + [0]


def test_old_demand_does_not_make_foresight_believe_in_capacity_to_spare():
    policy = Foresight(ScalerSettings())
    for second in range(30):
        policy.decide(structs.replace(observation(at=1000.0 + second, idle=2), arrivals=(1,)))
    blind = observation(at=1040.0, idle=2, outstanding=2000, stale={DEMAND})
    assert policy.decide(blind).desired == 20


@pytest.mark.parametrize("level", [-1000.0, -1e308, 1e308])
def test_a_poisoned_memory_of_caution_is_held_within_bounds(level):
    policy = Foresight(ScalerSettings())
    policy.learn(encode(structs.replace(decode(Memory, policy.learned()), caution=level)))
    assert 0 < policy._caution.level <= MOST
    assert policy.decide(observation(outstanding=5)).desired == 1


def test_a_poisoned_memory_of_errors_is_refused():
    memory = decode(Memory, Foresight(ScalerSettings()).learned())
    contest = structs.replace(memory.contest, residuals={"trend, relative": (1e308,)})
    with pytest.raises(ValueError, match="above"):
        Foresight(ScalerSettings()).learn(encode(structs.replace(memory, contest=contest)))


def test_what_fails_of_one_member_keeps_no_other_and_is_told():
    done = []

    def fail():
        raise UNREACHABLE

    with pytest.raises(type(UNREACHABLE)):
        do_all([lambda: done.append(1), fail, lambda: done.append(2)])
    assert done == [1, 2]


def test_a_look_that_never_completes_gets_stale():
    world = World()
    scaler = world.autoscaler()
    world.seconds(2)
    scaler.fleet.look = lambda _: None
    world.seconds(61)
    assert INSTANCES in scaler.signals.observe().stale


def test_a_budget_for_a_fleet_that_aws_sizes_is_refused():
    with pytest.raises(SettingsError, match="knows no budget"):
        load(ScalerSettings, fleet="alarms", budget_per_hour=2)
