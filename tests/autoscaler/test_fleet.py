"""What only fleet ``ec2`` does: tokens, and places tried in order."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from autoscaler.fleets import NoCapacityError
from autoscaler.fleets.ec2 import Ec2Fleet, places
from autoscaler.roster import UNSEEN
from skylens.clock import FakeClock
from skylens.fakes import FakeInstances, aws_error
from skylens.instances import ANYWHERE, Place

UNREACHABLE = EndpointConnectionError(endpoint_url="https://ec2")
CAPACITY = aws_error("InsufficientInstanceCapacity")
THROTTLED = aws_error("RequestLimitExceeded", 503)
A, B = Place(subnet="subnet-a"), Place(subnet="subnet-b")


class Stage:
    def __init__(self, *kinds):
        self.clock = FakeClock()
        self.ec2 = FakeInstances(self.clock.clock())
        tokens = iter("abcdefghij")
        self.fleet = Ec2Fleet(self.ec2, kinds or [ANYWHERE], self.clock.clock(), lambda: next(tokens))

    def launch(self, count):
        return self.fleet.launch(count, sure=lambda: True)

    def asked(self):
        return [arguments for name, arguments in self.ec2.script.calls if name == "launch"]


def test_each_launch_has_a_token_of_its_own():
    stage = Stage()
    assert len(stage.launch(2)) == 2
    assert len(stage.launch(1)) == 1
    assert stage.asked() == [(2, "a", ANYWHERE), (1, "b", ANYWHERE)]


@pytest.mark.parametrize("error", [UNREACHABLE, aws_error("Unavailable", 503)])
def test_a_launch_that_may_have_happened_is_repeated_as_it_was(error):
    stage = Stage(A, B)
    stage.ec2.script.fail("launch", error)
    with pytest.raises(type(error)):
        stage.launch(3)
    assert len(stage.fleet.settle()) == 3
    assert stage.fleet.settle() == []
    assert stage.asked() == [(3, "a", A)] * 2


def test_a_launch_that_may_have_happened_is_repeated_until_the_repeat_is_not_throttled():
    stage = Stage()
    stage.ec2.script.fail("launch", UNREACHABLE)
    stage.ec2.script.fail("launch", THROTTLED)
    with pytest.raises(EndpointConnectionError):
        stage.launch(3)
    with pytest.raises(ClientError):
        stage.fleet.settle()
    assert len(stage.fleet.settle()) == 3
    assert stage.asked() == [(3, "a", ANYWHERE)] * 3


def test_a_launch_is_repeated_with_its_user_data_although_others_are_wanted_by_now():
    stage, sent = Stage(), []
    stage.ec2.user_data = iter(["old", "new"]).__next__

    def lose(count, token, place, user_data):
        sent.append((token, user_data))
        raise UNREACHABLE

    stage.ec2.launch = lose
    for again in (lambda: stage.launch(1), stage.fleet.settle):
        with pytest.raises(EndpointConnectionError):
            again()
    assert sent == [("a", "old")] * 2


def test_each_place_is_asked_only_while_the_lease_outlasts_the_call():
    stage = Stage(A, B)
    stage.ec2.script.fail("launch", CAPACITY)
    assert stage.fleet.launch(1, iter([True, False]).__next__) == []
    assert stage.asked() == [(1, "a", A)]
    assert stage.fleet.settle() == []


@pytest.mark.parametrize("error", [aws_error("UnauthorizedOperation", 403), THROTTLED])
def test_a_launch_that_ec2_refused_is_not_repeated(error):
    stage = Stage()
    stage.ec2.script.fail("launch", error)
    with pytest.raises(ClientError):
        stage.launch(3)
    assert stage.fleet.settle() == []
    assert stage.ec2.instances == {}


def test_a_forgotten_launch_is_not_repeated():
    stage = Stage()
    stage.ec2.script.fail("launch", UNREACHABLE)
    with pytest.raises(EndpointConnectionError):
        stage.launch(3)
    stage.fleet.forget()
    assert stage.fleet.settle() == []


ILL = aws_error("InternalError", 500)


def test_a_launch_that_stays_unknown_leaves_its_place_for_another_and_room_for_what_it_may_have_made():
    stage = Stage(A, B)
    stage.ec2.script.fail("launch", ILL, times=62)
    with pytest.raises(ClientError):
        stage.launch(3)
    for _ in range(61):
        assert stage.fleet.unsure() == 0
        stage.clock.sleep(1)
        with pytest.raises(ClientError):
            stage.fleet.settle()
    assert stage.asked() == [(3, "a", A)] * 62
    assert (stage.fleet.unsure(), stage.fleet.settle(), stage.fleet.no_capacity()) == (3, [], 0)
    assert len(stage.launch(2)) == 2
    stage.clock.sleep(UNSEEN - 1)
    assert len(stage.launch(1)) == 1
    assert stage.asked()[62:] == [(2, "b", B), (1, "c", B)]
    stage.clock.sleep(1)
    assert stage.fleet.unsure() == 0
    assert len(stage.launch(1)) == 1
    assert stage.asked()[-1] == (1, "d", A)


def test_without_another_place_a_launch_that_stays_unknown_is_repeated_until_ec2_says():
    stage = Stage(A)
    stage.ec2.script.fail("launch", ILL, times=400)
    with pytest.raises(ClientError):
        stage.launch(3)
    for _ in range(399):
        stage.clock.sleep(1)
        with pytest.raises(ClientError):
            stage.fleet.settle()
    assert len(stage.fleet.settle()) == 3
    assert set(stage.asked()) == {(3, "a", A)}


def test_a_place_without_capacity_is_passed_over_for_a_while_that_doubles():
    stage = Stage(A, B)
    stage.ec2.script.fail("launch", CAPACITY)
    stage.launch(1)
    stage.clock.sleep(14)
    stage.launch(1)
    stage.clock.sleep(1)
    stage.ec2.script.fail("launch", CAPACITY)
    stage.launch(1)
    stage.clock.sleep(29)
    stage.launch(1)
    stage.clock.sleep(1)
    stage.launch(1)
    assert [place for _, _, place in stage.asked()] == [A, B, B, A, B, B, A]
    assert len({token for _, token, _ in stage.asked()}) == 7


def test_no_place_with_capacity_is_an_error_that_asks_nobody_again():
    stage = Stage(A, B)
    stage.ec2.capacity = 0
    for _ in range(2):
        with pytest.raises(NoCapacityError, match=r"in subnet-a, .* in subnet-b"):
            stage.launch(1)
    assert len(stage.asked()) == 2


def test_a_repeated_launch_that_finds_no_capacity_is_over():
    stage = Stage()
    stage.ec2.script.fail("launch", UNREACHABLE)
    stage.ec2.script.fail("launch", CAPACITY)
    with pytest.raises(EndpointConnectionError):
        stage.launch(1)
    with pytest.raises(ClientError):
        stage.fleet.settle()
    assert stage.fleet.settle() == []


def test_a_place_that_gives_fewer_than_asked_is_passed_over_for_the_rest():
    stage = Stage(A, B)
    stage.ec2.capacity = 2
    assert len(stage.launch(5)) == 2
    stage.ec2.capacity = 5
    assert len(stage.launch(3)) == 3
    assert [(count, place) for count, _, place in stage.asked()] == [(5, A), (3, B)]
    assert stage.fleet.no_capacity() == 0


def test_no_second_launch_begins_while_the_first_may_have_happened():
    stage = Stage()
    stage.ec2.script.fail("launch", UNREACHABLE)
    with pytest.raises(EndpointConnectionError):
        stage.launch(3)
    assert stage.fleet.launch(1, sure=lambda: False) == []
    assert len(stage.launch(1)) == 3
    assert stage.asked() == [(3, "a", ANYWHERE)] * 2


def test_capacity_is_asked_for_again_when_the_first_place_is_open_again():
    stage = Stage(A, B)
    assert stage.fleet.no_capacity() == 0
    stage.ec2.capacity = 0
    with pytest.raises(NoCapacityError):
        stage.launch(1)
    stage.clock.sleep(5)
    assert stage.fleet.no_capacity() == 10


@pytest.mark.parametrize(
    ("spot", "expected"),
    [
        (False, ["small in a", "small in b", "large in a", "large in b"]),
        (
            True,
            [
                "spot small in a",
                "spot small in b",
                "spot large in a",
                "spot large in b",
                "small in a",
                "small in b",
                "large in a",
                "large in b",
            ],
        ),
    ],
)
def test_spot_comes_before_on_demand_then_types_then_subnets(spot, expected):
    assert list(map(str, places(("small", "large"), ("a", "b"), spot=spot))) == expected


def test_without_types_and_subnets_the_launch_template_says_it_all():
    assert places((), (), spot=False) == [ANYWHERE]


def test_without_spot_capacity_the_launch_is_on_demand():
    stage = Stage(*places((), (), spot=True))
    stage.ec2.script.fail("launch", aws_error("SpotMaxPriceTooLow"))
    (one,) = stage.launch(1)
    assert not stage.ec2.instances[one].spot
