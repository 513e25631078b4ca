import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from autoscaler.fleets import NoCapacityError
from autoscaler.fleets.ec2 import Ec2Fleet
from skylens.clock import FakeClock
from skylens.fakes import FakeInstances, aws_error

UNREACHABLE = EndpointConnectionError(endpoint_url="https://ec2")
CAPACITY = aws_error("InsufficientInstanceCapacity")
THROTTLED = aws_error("RequestLimitExceeded", 503)


class Stage:
    def __init__(self, *subnets):
        self.clock = FakeClock()
        self.ec2 = FakeInstances(self.clock.clock())
        tokens = iter("abcdefghij")
        self.fleet = Ec2Fleet(self.ec2, subnets, self.clock.clock(), lambda: next(tokens))

    def launch(self, count):
        return self.fleet.launch(count, sure=lambda: True)

    def asked(self):
        return [arguments for name, arguments in self.ec2.script.calls if name == "launch"]


def test_each_launch_has_a_token_of_its_own():
    stage = Stage()
    assert len(stage.launch(2)) == 2
    assert len(stage.launch(1)) == 1
    assert stage.asked() == [(2, "a", ""), (1, "b", "")]


@pytest.mark.parametrize("error", [UNREACHABLE, aws_error("Unavailable", 503)])
def test_a_launch_that_may_have_happened_is_repeated_as_it_was(error):
    stage = Stage("subnet-a", "subnet-b")
    stage.ec2.script.fail("launch", error)
    with pytest.raises(type(error)):
        stage.launch(3)
    assert len(stage.fleet.settle()) == 3
    assert stage.fleet.settle() == []
    assert stage.asked() == [(3, "a", "subnet-a")] * 2


def test_a_launch_that_may_have_happened_is_repeated_until_the_repeat_is_not_throttled():
    stage = Stage()
    stage.ec2.script.fail("launch", UNREACHABLE)
    stage.ec2.script.fail("launch", THROTTLED)
    with pytest.raises(EndpointConnectionError):
        stage.launch(3)
    with pytest.raises(ClientError):
        stage.fleet.settle()
    assert len(stage.fleet.settle()) == 3
    assert stage.asked() == [(3, "a", "")] * 3


def test_a_launch_is_repeated_with_its_user_data_although_others_are_wanted_by_now():
    stage, sent = Stage(), []
    stage.ec2.user_data = iter(["old", "new"]).__next__

    def lose(count, token, subnet, user_data):
        sent.append((token, user_data))
        raise UNREACHABLE

    stage.ec2.launch = lose
    for again in (lambda: stage.launch(1), stage.fleet.settle):
        with pytest.raises(EndpointConnectionError):
            again()
    assert sent == [("a", "old")] * 2


def test_each_subnet_is_asked_only_while_the_lease_outlasts_the_call():
    stage = Stage("subnet-a", "subnet-b")
    stage.ec2.script.fail("launch", CAPACITY)
    assert stage.fleet.launch(1, iter([True, False]).__next__) == []
    assert stage.asked() == [(1, "a", "subnet-a")]
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


def test_a_subnet_without_capacity_is_passed_over_for_three_minutes():
    stage = Stage("subnet-a", "subnet-b")
    stage.ec2.script.fail("launch", CAPACITY)
    stage.launch(1)
    stage.clock.sleep(179)
    stage.launch(1)
    stage.clock.sleep(1)
    stage.launch(1)
    assert [subnet for _, _, subnet in stage.asked()] == ["subnet-a", "subnet-b", "subnet-b", "subnet-a"]
    assert len({token for _, token, _ in stage.asked()}) == 4


def test_no_subnet_with_capacity_is_an_error_that_asks_nobody_again():
    stage = Stage("subnet-a", "subnet-b")
    stage.ec2.capacity = 0
    for _ in range(2):
        with pytest.raises(NoCapacityError, match="subnet-a, subnet-b"):
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
