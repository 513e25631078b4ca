"""A large fleet is looked at in steps."""

import pytest
from moto_cloud import client, serving_moto, template
from scaler_world import World

from autoscaler.fleets import Look
from autoscaler.fleets.ec2 import Ec2Fleet, places
from autoscaler.observation import INSTANCES
from skylens.clock import Clock
from skylens.instances import BUILDER, PAGE, TIER_TAG, Ec2Instances


@pytest.fixture(scope="module")
def ec2():
    with serving_moto() as address:
        yield client("ec2", address)


def fleet_of(ec2, deployment, count):
    """Launched one by one: moto counts launches, not instances, to fill a page."""
    template(ec2, f"{deployment}-worker")
    instances = Ec2Instances(ec2, deployment, f"{deployment}-worker")
    return instances, [one for number in range(count) for one in instances.launch(1, f"{deployment}-{number}")]


def test_a_sweep_takes_a_page_a_call_and_tells_all_at_the_last(ec2):
    instances, ids = fleet_of(ec2, "large", 2 * PAGE + 7)
    ec2.terminate_instances(InstanceIds=ids[:1])
    assert instances.sweep(ids) is None
    assert instances.sweep(ids) is None
    shown = {one.id: one.state for one in instances.sweep(ids)}
    assert shown == {one: "terminated" if one == ids[0] else "running" for one in ids}
    assert instances.sweep(ids) is None


def test_a_small_fleet_is_told_at_once(ec2):
    instances, ids = fleet_of(ec2, "small", 3)
    for _ in range(2):
        assert {one.id for one in instances.sweep()} == set(ids)


def test_what_an_image_is_baked_on_is_no_worker(ec2):
    instances, ids = fleet_of(ec2, "baked", 2)
    tags = [{"Key": "skylens:deployment", "Value": "baked"}, {"Key": TIER_TAG, "Value": BUILDER}]
    specification = {"ResourceType": "instance", "Tags": tags}
    ec2.run_instances(ImageId="ami-00000000000000000", MinCount=1, MaxCount=1, TagSpecifications=[specification])
    for shown in (instances.all(), instances.sweep()):
        assert {one.id for one in shown} == set(ids)


def test_whoever_takes_over_looks_at_all_in_one_step(ec2):
    instances, ids = fleet_of(ec2, "taken", PAGE + 1)
    fleet = Ec2Fleet(instances, places((), (), spot=False), Clock())
    assert len(fleet.look(()).instances) == len(ids)
    assert fleet.look(()) is None
    fleet.forget()
    assert len(fleet.look(()).instances) == len(ids)


def test_a_look_in_steps_is_as_old_as_its_first_one():
    world = World()
    scaler = world.autoscaler()
    world.seconds(3)
    steps = iter([None, None, Look([])])
    scaler.fleet.look = lambda _: next(steps)
    ages = []
    for _ in range(3):
        world.clock.sleep(1)
        seen = scaler.signals.observe()
        assert INSTANCES not in seen.stale
        ages.append(seen.ages[INSTANCES])
    assert ages == [1, 2, 2]
