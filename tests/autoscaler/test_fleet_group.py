"""What only fleet ``asg`` does: a desired capacity, members that are still to come, members that ended."""

import pytest
from fleet_suite import Stage, fake_asg, ignored, throttled

from autoscaler.fleets import NoCapacityError
from autoscaler.roster import Roster
from skylens.fakes import aws_error


@pytest.fixture
def stage():
    return fake_asg()


def slow():
    """A stage whose group launches only after five seconds."""
    stage = fake_asg()
    stage.real_group.delay = 5
    return stage


def test_what_is_coming_is_counted_until_it_came():
    stage = slow()
    stage.ticks(2, wanted=3)
    assert (stage.alive, stage.seen().active) == ([], 3)
    stage.ticks(6, wanted=3)
    assert (len(stage.alive), stage.seen().active, stage.peak) == (3, 3, 3)


def test_what_is_coming_is_called_off_before_anybody_is_drained():
    stage = slow()
    stage.ticks(2, wanted=3)
    stage.ticks(10, wanted=1)
    assert (len(stage.alive), stage.peak, stage.tagged) == (1, 1, [])


def test_calling_off_leaves_the_members_alone():
    stage = slow()
    stage.ticks(8, wanted=2)
    stage.ticks(2, wanted=4)
    stage.tick(wanted=1)
    assert stage.real_group.desired == 2
    assert (len(stage.alive), len(stage.tagged)) == (2, 1)


def test_calling_off_again_before_the_next_look_calls_off_no_more():
    stage = slow()
    stage.ticks(2, wanted=3)
    stage.look()
    for _ in range(2):
        assert stage.fleet.call_off(1) == 1
    assert stage.real_group.desired == 2


def test_a_capacity_that_the_group_did_not_take_is_set_again(stage):
    stage.breaks(ignored, throttled)
    stage.ticks(4, wanted=3)
    assert (len(stage.alive), stage.peak) == (3, 3)


def test_members_that_ended_leave_their_place_to_others(stage):
    stage.ticks(2, wanted=6)
    for one in stage.alive[:4]:
        stage.ends(one)
    stage.ticks(3, wanted=6)
    assert (len(stage.alive), stage.real_group.desired, stage.peak) == (6, 6, 6)


def test_a_member_removed_but_shown_for_a_while_is_not_removed_again(stage):
    stage.ticks(2, wanted=3)
    stage.real_group.lag = 8
    stage.ticks(10, wanted=3)
    stage.ends(stage.alive[0])
    stage.ticks(20, wanted=2)
    assert (stage.real_group.desired, len(stage.alive)) == (2, 2)
    assert stage.group.calls.count("remove") == 1


def test_one_that_is_wanted_in_place_of_an_ended_one_is_launched_once_although_the_group_shows_it_late(stage):
    stage.ticks(2, wanted=3)
    stage.real_group.lag = 8
    stage.ticks(10, wanted=3)
    stage.ends(stage.alive[0])
    stage.ticks(30, wanted=3)
    assert (len(stage.alive), stage.peak, stage.real_group.desired) == (3, 3, 3)


def test_a_member_that_ec2_forgot_makes_room_after_five_minutes(stage):
    stage.ticks(2, wanted=3)
    one = stage.alive[0]
    del stage.ec2.instances[one]
    stage.ticks(290, wanted=3)
    assert one in stage.real_group.members
    removed = []
    stage.real_group.remove = removed.append
    stage.ticks(20, wanted=3)
    assert removed == [one]


def test_a_member_that_ec2_does_not_show_yet_is_counted_by_a_restarted_autoscaler(stage):
    stage.ticks(2, wanted=3)
    stage.ec2.lag = 60
    stage.fleet.forget()
    stage.roster = Roster(stage.clock)
    stage.look()
    assert (stage.seen().active, stage.fleet.call_off(3)) == (3, 0)


def test_the_groups_own_maximum_is_no_error_until_it_is_reached(stage):
    stage.real_group.maximum = 4
    stage.ticks(2, wanted=6)
    assert len(stage.alive) == 4
    with pytest.raises(NoCapacityError, match="4 instances"):
        stage.launch(1)


def test_a_failure_of_the_past_is_no_refusal(stage):
    stage.real_group.failed = (stage.clock.now() - 10, "failed")
    stage.real_group.delay = 60
    stage.ticks(20, wanted=2)
    assert stage.fleet.no_capacity() == 0
    assert stage.seen().active == 2


def test_the_group_is_asked_why_nothing_comes_only_now_and_then_and_only_then():
    stage = slow()
    stage.real_group.delay = 21
    stage.ticks(20, wanted=2)
    assert stage.group.calls.count("refusal") == 4
    stage.ticks(20, wanted=2)
    assert stage.group.calls.count("refusal") <= 5


def test_a_refused_launch_is_given_up_only_by_whoever_acts(stage):
    stage.ec2.capacity = 0
    stage.tick(wanted=2)
    stage.fake_clock.sleep(6)
    stage.look()
    assert (stage.real_group.desired, stage.fleet.no_capacity()) == (2, 15)
    stage.fleet.tend(stage.seen())
    assert stage.real_group.desired == 0


@pytest.fixture
def hooked(stage):
    """A group that lets a member wait in a termination hook."""
    stage.real_group.hooked = True
    stage.ticks(2, wanted=2)
    return stage


def test_a_member_that_ended_itself_is_let_go_from_the_termination_hook(hooked):
    hooked.ends(hooked.alive[0])
    hooked.ticks(3, wanted=1)
    assert (list(hooked.real_group.members), hooked.real_group.desired) == (hooked.alive, 1)


def test_a_terminated_member_is_not_waited_for(hooked):
    hooked.fleet.terminate(hooked.alive[0])
    assert len(hooked.alive) == 2
    hooked.ticks(3, wanted=1)
    assert (len(hooked.alive), hooked.real_group.desired) == (1, 1)


def test_a_member_that_somebody_else_took_may_finish(hooked):
    hooked.real_group.remove(hooked.alive[0])
    hooked.ticks(3, wanted=1)
    assert len(hooked.alive) == 2
    hooked.ends(hooked.alive[0])
    hooked.ticks(2, wanted=1)
    assert (len(hooked.alive), len(hooked.real_group.members)) == (1, 1)


def test_an_instance_of_no_group_is_counted_and_terminated_all_the_same(stage):
    (one,) = stage.ec2.launch(1, "by hand")
    stage.ticks(2, wanted=1)
    assert (stage.seen().active, stage.real_group.desired) == (1, 0)
    stage.fleet.terminate(one)
    assert stage.alive == []


def test_a_group_that_is_not_there_is_looked_for_again(stage):
    stage.real_group.script.fail("view", aws_error("NotFound"))
    with pytest.raises(Exception, match="NotFound"):
        stage.look()
    stage.ticks(2, wanted=Stage.maximum)
    assert len(stage.alive) == Stage.maximum


def test_a_smaller_launch_before_the_next_look_takes_nothing_back(stage):
    stage.look()
    stage.launch(3)
    stage.launch(1)
    assert stage.real_group.desired == 3


def test_a_smaller_call_off_before_the_next_look_takes_nothing_back():
    stage = slow()
    stage.ticks(2, wanted=4)
    stage.look()
    stage.fleet.call_off(3)
    stage.fleet.call_off(1)
    assert stage.real_group.desired == 1


def test_calling_off_counts_from_the_last_look_as_a_launch_does():
    stage = slow()
    stage.ticks(2, wanted=3)
    stage.look()
    stage.launch(2)
    stage.fleet.call_off(1)
    assert stage.real_group.desired == 2


def test_a_capacity_below_the_number_of_members_does_not_keep_a_launch(stage):
    stage.ticks(2, wanted=3)
    stage.real_group.desired = 1
    stage.ticks(2, wanted=4)
    assert len(stage.alive) == 4


def test_a_member_that_ec2_hides_for_a_moment_is_not_counted_twice(stage):
    stage.ticks(2, wanted=3)
    stage.ec2.lag = 60
    stage.look()
    assert stage.seen().active == 3


def test_a_restarted_autoscaler_removes_who_ended_meanwhile(stage):
    stage.ticks(2, wanted=3)
    stage.ends(stage.alive[0])
    stage.fleet.forget()
    stage.roster = Roster(stage.clock)
    stage.look()
    stage.fleet.tend(stage.seen())
    assert stage.real_group.desired == 2


def test_an_old_refusal_does_not_refuse_the_next_try(stage):
    stage.ec2.capacity = 0
    stage.ticks(10, wanted=2)
    stage.ec2.capacity, stage.real_group.delay = 100, 10
    stage.ticks(195, wanted=2)
    assert len(stage.alive) == 2


def test_a_launch_between_a_removal_and_the_next_look_counts_the_removal(stage):
    stage.ticks(2, wanted=3)
    stage.ends(stage.alive[0])
    stage.look()
    stage.fleet.tend(stage.seen())
    stage.actor.resize(3, stage.seen())
    assert (stage.real_group.desired, len(stage.alive)) == (3, 3)


def test_a_full_group_with_members_that_ended_has_room_soon(stage):
    stage.ticks(2, wanted=stage.maximum)
    stage.ends(stage.alive[0])
    stage.look()
    assert stage.launch(1) == []


def test_what_another_asked_of_the_group_is_looked_at_when_acting_again(stage):
    stage.ticks(2, wanted=2)
    stage.real_group.resize(4)
    stage.fleet.forget()
    stage.launch(1)
    assert stage.real_group.desired == 5
