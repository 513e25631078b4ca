"""What every fleet does, whatever it is made of: over fakes, and over the real adapters against moto's server."""

import pytest
from fleet_suite import FAKES, REAL, lost, repeated, throttled, unsent
from moto_cloud import serving_moto

from autoscaler.fleets import NoCapacityError
from autoscaler.fleets.refusals import FIRST
from skylens.aws_errors import AWS_ERRORS, Trouble, classify

GONE = "i-0123456789abcdef0"


@pytest.fixture(scope="module")
def moto():
    with serving_moto() as address:
        yield address


@pytest.fixture(params=[*FAKES, *REAL])
def stage(request):
    if request.param in FAKES:
        return FAKES[request.param]()
    return REAL[request.param](request.getfixturevalue("moto"))


@pytest.fixture(params=[*FAKES])
def odd(request):
    """A stage whose AWS can be late and can be out of capacity."""
    return FAKES[request.param]()


def test_a_launch_gives_what_was_asked_and_the_next_look_shows_it(stage):
    stage.ticks(2, wanted=3)
    assert len(stage.alive) == 3
    assert sorted(worker.instance for worker in stage.roster.workers()) == sorted(stage.alive)


@pytest.mark.parametrize("fault", [lost, repeated, unsent, throttled])
def test_a_launch_that_goes_wrong_is_made_once_in_the_end(stage, fault):
    stage.breaks(fault, fault)
    stage.ticks(5, wanted=3)
    assert (len(stage.alive), stage.peak, stage.seen().active) == (3, 3, 3)


def test_a_launch_asked_again_before_the_next_look_is_made_once(stage):
    stage.ticks(1, wanted=3)
    stage.actor.resize(3, stage.seen())
    stage.ticks(2, wanted=3)
    assert (len(stage.alive), stage.peak) == (3, 3)


def test_a_throttled_launch_changes_nothing_and_says_so(stage):
    stage.breaks(throttled)
    stage.look()
    with pytest.raises(AWS_ERRORS) as raised:
        stage.launch(2)
    assert classify(raised.value) is Trouble.THROTTLED
    assert (stage.alive, stage.fleet.settle()) == ([], [])


def test_nothing_is_launched_when_the_lease_is_not_sure_to_outlast_the_call(stage):
    stage.look()
    assert stage.fleet.launch(2, sure=lambda: False) == []
    assert stage.alive == []


def test_a_launch_left_open_is_not_made_once_it_is_forgotten(stage):
    stage.breaks(unsent)
    stage.look()
    with pytest.raises(AWS_ERRORS):
        stage.launch(2)
    stage.fleet.forget()
    assert stage.fleet.settle() == []
    assert stage.alive == []


def test_refused_capacity_is_told_and_remembered_and_asked_for_again_after_a_while(odd):
    odd.ec2.capacity = 2
    odd.ticks(10, wanted=5)
    assert (len(odd.alive), odd.seen().active) == (2, 2)
    assert 0 < odd.fleet.no_capacity() <= FIRST
    with pytest.raises(NoCapacityError):
        odd.launch(3)
    asked = len(odd.launcher.calls)
    odd.ec2.capacity = 100
    odd.ticks(160, wanted=2)
    assert len(odd.alive) == 2
    assert odd.launching not in odd.launcher.calls[asked:]
    odd.ticks(30, wanted=5)
    assert (len(odd.alive), odd.fleet.no_capacity()) == (5, 0)


def test_what_is_out_of_capacity_is_not_launched_once_nobody_wants_it_any_more(odd):
    odd.ec2.capacity = 0
    odd.ticks(10, wanted=5)
    odd.ec2.capacity = 100
    odd.ticks(200, wanted=0)
    assert odd.peak == 0


def test_an_aws_that_shows_everything_late_gets_no_launch_twice(odd):
    odd.ec2.lag = 20
    if odd.launcher is not odd.instances:
        odd.real_group.lag, odd.real_group.delay = 10, 3
    odd.ticks(60, wanted=4)
    assert (len(odd.alive), odd.peak, odd.seen().active) == (4, 4, 4)


def test_who_is_drained_works_on_until_its_worker_leaves_and_is_not_replaced(stage):
    stage.ticks(2, wanted=3)
    stage.ticks(3, wanted=1)
    assert (len(stage.alive), len(stage.tagged), stage.seen().active, stage.ended) == (3, 2, 1, 0)
    for one in stage.tagged:
        stage.ends(one)
    stage.ticks(5, wanted=1)
    assert (len(stage.alive), stage.seen().active, stage.seen().leaving, stage.peak) == (1, 1, 0, 3)


def test_who_ended_by_itself_is_neither_counted_nor_replaced_unless_wanted(stage):
    stage.ticks(2, wanted=3)
    stage.ends(stage.alive[0])
    stage.ticks(4, wanted=2)
    assert (len(stage.alive), len(stage.roster.workers()), stage.peak) == (2, 2, 3)
    stage.ticks(3, wanted=3)
    assert (len(stage.alive), len(stage.roster.workers()), stage.peak) == (3, 3, 3)


def test_there_are_never_more_than_the_maximum(stage):
    for wanted in (20, 2, 20, 0, 20):
        stage.ticks(3, wanted=wanted)
        for one in stage.tagged[:2]:
            stage.ends(one)
    stage.ticks(3, wanted=20)
    assert stage.peak == stage.maximum
    assert len(stage.alive) == stage.maximum


def test_who_is_terminated_is_gone_and_replaced_only_if_wanted(stage):
    stage.ticks(2, wanted=3)
    stage.fleet.terminate(stage.alive[0])
    stage.ticks(3, wanted=2)
    assert (len(stage.alive), len(stage.roster.workers())) == (2, 2)


def test_who_is_gone_is_passed_over(stage):
    stage.ticks(2, wanted=1)
    (one,) = stage.alive
    stage.fleet.drain([GONE, one])
    stage.fleet.settle_in(GONE)
    stage.fleet.terminate(GONE)
    stage.fleet.terminate(one)
    stage.fleet.terminate(one)
    assert stage.alive == []


def test_who_came_already_is_not_called_off(stage):
    stage.ticks(2, wanted=2)
    stage.look()
    assert stage.fleet.call_off(2) == 0
    stage.ticks(2, wanted=2)
    assert (len(stage.alive), stage.tagged) == (2, [])


def test_a_resident_one_is_shown_as_such(stage):
    stage.ticks(2, wanted=2)
    stage.fleet.settle_in(stage.alive[0])
    shown = {one.id: one.resident for one in stage.fleet.look([]).instances}
    assert [shown[one] for one in stage.alive] == [True, False]


def test_who_is_expected_is_shown_as_ended_for_sure(stage):
    stage.ticks(2, wanted=1)
    (one,) = stage.alive
    stage.ends(one)
    assert [(shown.id, shown.state) for shown in stage.fleet.look([one]).instances] == [(one, "terminated")]
