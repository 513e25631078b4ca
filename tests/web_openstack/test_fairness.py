"""Shares of what all tenants use together: the rule, and the places to wait in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web_openstack.fairness import Standing, may_enter
from web_openstack.slots import Slots, places


@pytest.mark.parametrize(
    ("standing", "room", "expected"),
    [
        (Standing(own=0, all=0, tenants=1), 10, True),
        (Standing(own=9, all=9, tenants=1), 10, True),
        (Standing(own=10, all=10, tenants=1), 10, False),
        (Standing(own=9, all=9, tenants=1), 9.9, False),
        (Standing(own=8, all=9, tenants=2), 10, True),
        (Standing(own=0, all=10, tenants=2), 10, True),
        (Standing(own=4, all=14, tenants=2), 10, True),
        (Standing(own=5, all=10, tenants=2), 10, False),
        (Standing(own=10, all=14, tenants=2), 10, False),
        (Standing(own=0, all=10, tenants=11), 10, False),
    ],
)
def test_who_may_have_one_more(standing, room, expected):
    assert may_enter(standing, room) is expected


@given(
    room=st.integers(1, 40),
    steps=st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=300),
)
def test_whatever_happens_a_tenant_below_its_share_gets_in_and_nobody_takes_more_than_the_room(room, steps):
    held = dict.fromkeys("abcd", 0)
    for tenant, comes in steps:
        if not comes:
            held[tenant] = max(0, held[tenant] - 1)
            continue
        active = sum(1 for name, count in held.items() if count or name == tenant)
        taken = may_enter(Standing(held[tenant], sum(held.values()), active), room)
        if held[tenant] < room // active:
            assert taken
        if sum(held.values()) < room:
            assert taken
        held[tenant] += taken
        assert max(held.values()) <= room
        assert sum(held.values()) <= room * (1 + (len(held) - 1) / 2)


def test_a_tenant_alone_takes_every_slot_and_another_still_finds_one():
    slots = Slots(16)
    assert [slots.take("greedy") for _ in range(17)] == [True] * 16 + [False]
    assert [slots.take("polite") for _ in range(3)] == [True, True, False]
    assert places(16) == 18
    slots.give_back("greedy")
    assert not slots.take("greedy")
    assert slots.take("polite")
    for _ in range(3):
        slots.give_back("polite")
    assert slots.take("greedy")


def test_two_tenants_together_leave_some_for_a_third():
    slots = Slots(128)
    assert sum(slots.take("first") for _ in range(200)) == 128
    assert sum(slots.take("second") for _ in range(200)) == 11
    assert [slots.take("third") for _ in range(3)] == [True, False, False]
    assert slots.take("fourth")


def test_a_request_that_may_fill_but_a_part_leaves_the_rest():
    slots = Slots(8)
    assert [slots.take("t", 0.75) for _ in range(7)] == [True] * 6 + [False]
    assert slots.take("t")
    assert Slots(1).take("t", 0.75)
