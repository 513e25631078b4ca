"""Room for bodies on their way in: who gets in at once, who waits, and that every byte comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skylens.clock import FakeClock
from web_openstack.room import PATIENCE, Room


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def room(clock):
    return Room(100, clock.clock())


@pytest.fixture
def told():
    return []


def asking(room, told):
    return lambda tenant, size: room.ask(tenant, size, lambda: told.append(tenant))


def test_a_tenant_alone_may_fill_a_half_and_the_next_one_still_finds_some(room, told):
    ask = asking(room, told)
    assert [ask("greedy", 25).taken for _ in range(3)] == [True, True, False]
    assert ask("polite", 25).taken
    assert ask("third", 12).taken
    assert not ask("fourth", 12).taken
    assert (room.taken(), told) == (87, [])


def test_who_waits_is_let_in_in_turn_when_others_leave(room, told):
    ask = asking(room, told)
    first, second = ask("a", 50), ask("a", 30)
    third = ask("a", 20)
    assert not third.taken, "it came after one that is too large"
    room.leave(first)
    assert (second.taken, third.taken, told) == (True, True, ["a", "a"])


def test_of_two_that_wait_the_one_whose_tenant_has_less_is_first(room, told):
    ask = asking(room, told)
    first, _ = ask("a", 40), ask("a", 10)
    more, other = ask("a", 10), ask("b", 40)
    assert not more.taken
    assert not other.taken
    room.leave(first)
    assert (other.taken, more.taken, told) == (True, True, ["b", "a"])


def test_who_leaves_twice_gives_back_once_and_who_waited_gives_back_nothing(room, told):
    ask = asking(room, told)
    first, second = ask("a", 50), ask("a", 50)
    room.leave(second)
    assert room.taken() == 50
    room.leave(first)
    room.leave(first)
    assert (room.taken(), second.taken, told) == (0, False, [])


def test_a_place_grows_while_there_is_room(room, told):
    place = asking(room, told)("a", 10)
    assert room.grow(place, 50)
    assert not room.grow(place, 51)
    assert room.taken() == 50
    room.leave(place)
    assert room.taken() == 0


def test_who_waits_too_long_is_told_and_lets_those_behind_in(room, clock, told):
    ask = asking(room, told)
    ask("a", 30)
    late = ask("a", 40)
    clock.sleep(PATIENCE / 2)
    behind = ask("a", 20)
    room.end_waits()
    assert told == []
    clock.sleep(PATIENCE / 2)
    room.end_waits()
    assert (late.taken, behind.taken, told) == (False, True, ["a", "a"])
    room.leave(late)
    assert room.taken() == 50


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50)), max_size=200))
def test_whatever_happens_it_is_never_overfull_and_nobody_is_left_waiting_in_an_empty_one(steps):
    told, clock = [], FakeClock()
    room = Room(100, clock.clock())
    places = []
    for tenant, size in steps:
        if size:
            place = room.ask(tenant, size, lambda: told.append(1))
            places.append(place)
            newcomer = room.taken() == sum(place.size for place in places if place.taken)
            assert newcomer
        elif places:
            room.leave(places.pop(len(tenant) * 7 % len(places)))
        assert room.taken() == sum(place.size for place in places if place.taken) <= 100
        assert room.taken() or not places
    for place in places:
        room.leave(place)
    assert room.taken() == 0
