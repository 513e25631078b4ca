"""What the loop does each tick besides deciding: the resident instance, the memory, those who watch."""

from scaler_world import UNREACHABLE, World, refusing

from autoscaler.memory import KEY
from skylens.messages import Worker


def residents(world):
    return [one.id for one in world.ec2.instances.values() if one.resident and one.state != "terminated"]


def test_one_instance_is_made_resident_and_another_once_that_is_gone():
    world = World(speed=0)
    world.autoscaler(policy="resident", maximum=5)
    world.web.outstanding = 3
    world.seconds(3)
    (one,) = residents(world)
    world.ec2.ends(one)
    world.seconds(3)
    (other,) = residents(world)
    assert other != one


def test_other_policies_make_nobody_resident():
    world = World()
    world.autoscaler(policy="greedy")
    world.web.outstanding = 8
    world.seconds(5)
    assert (world.alive, residents(world)) == (2, [])


def test_a_resident_that_could_not_be_tagged_is_tagged_later():
    world = World(speed=0)
    world.autoscaler(policy="resident", maximum=5)
    with refusing(world.ec2, "settle_in"):
        world.seconds(3)
        assert residents(world) == []
    world.seconds(1)
    assert len(residents(world)) == 1


def test_what_was_learned_is_saved_each_minute_and_known_to_the_successor():
    world = World(boot=7)
    first = world.autoscaler(policy="foresight")
    world.web.outstanding = 30
    world.seconds(70)
    assert KEY in world.store.objects
    measured = first.roster.boot_seconds(99)
    first.dies()
    second = world.autoscaler(policy="foresight")
    world.seconds(15)
    assert second.roster.boot_seconds(99) == measured != 99


def test_whoever_leaves_saves_what_it_learned_before_it_lets_the_lease_go():
    world = World(boot=7)
    first = world.autoscaler(policy="foresight")
    world.web.outstanding = 30
    world.seconds(20)
    assert KEY not in world.store.objects
    first.stops()
    second = world.autoscaler(policy="foresight")
    world.seconds(2)
    assert second.roster.boot_seconds(99) != 99


def test_a_bucket_that_does_not_answer_for_the_memory_stops_no_tick():
    world = World()
    scaler = world.autoscaler(policy="foresight")
    world.seconds(2)
    put = world.store.put_if

    def refuse(key, *arguments, **named):
        if key == KEY:
            raise UNREACHABLE
        return put(key, *arguments, **named)

    world.store.put_if = refuse
    world.web.outstanding = 30
    world.seconds(130)
    assert world.launches > 0
    assert scaler.metrics.broken._value.get() == 0


class Witness:
    def __init__(self):
        self.seen = []

    def saw(self, seen, wanted, allowed):
        self.seen.append((seen.outstanding, wanted.desired, allowed.desired))


def test_watchers_are_told_of_every_tick_and_a_standby_tells_nothing():
    world = World()
    first, standby = world.autoscaler(maximum=5), world.autoscaler(maximum=5)
    told, silent = Witness(), Witness()
    first.loop._parts = first.loop._parts._replace(watchers=(told,))
    standby.loop._parts = standby.loop._parts._replace(watchers=(silent,))
    world.web.outstanding = 40
    world.seconds(3)
    assert told.seen[0] == (40, 5, 5)
    assert len(told.seen) == 3
    assert silent.seen == []


def test_instances_asked_for_that_have_no_id_yet_count_and_are_called_off_first():
    world = World()
    scaler = world.autoscaler(maximum=5)
    called = []
    look = scaler.fleet.look
    scaler.fleet.look = lambda expected: look(expected)._replace(coming=2)
    scaler.fleet.call_off = lambda count: called.append(count) or min(count, 2)
    world.web.outstanding = 20
    world.seconds(2)
    assert world.alive == 3
    assert Worker(instance="", state="pending", age=0.0) in world.web.told[-1].workers
    world.web.outstanding = 0
    world.seconds(30)
    assert called[0] == 5
    assert all(one.draining or one.state == "terminated" for one in world.ec2.instances.values())


def test_the_fleet_that_aws_sizes_is_tended_and_not_resized():
    world = World()
    scaler = world.autoscaler(fleet="alarms", maximum=5)
    tended = []
    scaler.fleet.tend = tended.append
    world.web.outstanding = 40
    world.seconds(5)
    assert (world.launches, len(tended)) == (0, 5)
    assert world.web.told[-1].policy == "alarms"


def test_the_door_is_told_what_all_nodes_wait_for_and_how_large_the_fleet_may_get():
    world = World()
    world.autoscaler(maximum=5, budget_per_hour=0.0)
    world.web.outstanding = 7
    world.second()
    told = world.web.told[-1]
    assert (told.outstanding, told.nodes, told.ceiling) == (7, 1, 5)
