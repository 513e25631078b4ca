"""When those who were refused are to come back."""

import math

import pytest

from skylens.clock import FakeClock
from web_openstack import turns
from web_openstack.turns import LATE, LONGEST, PACE, Turns

RATE = 10.0


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def line(clock):
    return Turns(clock.clock())


def test_each_is_told_a_time_behind_the_one_before_as_fast_as_its_tenant_is_served(line):
    told = [line.give("t", f"k{number}", earliest=2, rate=RATE) for number in range(150)]
    assert told == sorted(told)
    assert (told[0], told[-1]) == (3, math.ceil(2 + 150 / (PACE * RATE) + 0.001))
    assert max(map(told.count, told)) <= PACE * RATE + 1


def test_a_tenant_waits_for_nobody_elses_line(line):
    for number in range(100):
        line.give("greedy", f"k{number}", earliest=0, rate=RATE)
    assert line.give("polite", "k", earliest=0, rate=RATE) == 1


def test_who_asks_early_is_told_the_rest_and_moves_nobody(clock, line):
    for number in range(99):
        line.give("t", f"k{number}", earliest=0, rate=RATE)
    first = line.give("t", "again", earliest=0, rate=RATE)
    clock.sleep(5)
    assert line.give("t", "again", earliest=0, rate=RATE) == first - 5
    assert line.give("t", "next", earliest=0, rate=RATE) in {first - 5, first - 4}


def test_who_comes_in_time_finds_what_is_kept_and_others_do_not(clock, line):
    assert line.may_fill("t", "k", 0.25) == 1
    wait = line.give("t", "k", earliest=3, rate=RATE)
    line.give("t", "last", earliest=3, rate=RATE)
    assert [line.may_fill("t", key, 0.25) for key in ("k", "new", "")] == [0.75] * 3
    assert line.may_fill("other", "new", 0.25) == 1
    clock.sleep(wait)
    assert [line.may_fill("t", key, 0.25) for key in ("k", "new", "")] == [1, 0.75, 0.75]
    line.took("t", "k")
    assert line.may_fill("t", "k", 0.25) == 0.75
    clock.sleep(LATE + 1)
    assert line.may_fill("t", "new", 0.25) == 1


def test_who_came_in_time_and_in_vain_does_not_go_to_the_end(clock, line):
    clock.sleep(line.give("t", "k", earliest=0, rate=RATE))
    for number in range(100):
        line.give("t", f"k{number}", earliest=0, rate=RATE)
    assert line.give("t", "k", earliest=2, rate=RATE) == 2


def test_nobody_is_sent_away_for_more_than_an_hour(line):
    assert line.give("t", "k", earliest=10 * LONGEST, rate=RATE) == LONGEST
    assert line.give("t", "k2", earliest=0, rate=0) == LONGEST
    assert line.give("t", "", earliest=0, rate=RATE) == LONGEST


def test_a_flood_of_keys_forgets_those_told_first(monkeypatch, clock, line):
    monkeypatch.setattr(turns, "MOST", 3)
    waits = [line.give("t", f"k{number}", earliest=0, rate=RATE) for number in range(4)]
    assert (line._count, len(line._known["t"])) == (3, 3)
    clock.sleep(max(waits))
    assert [line.may_fill("t", f"k{number}", 0.25) for number in range(2)] == [0.75, 1]


def test_a_tenants_flood_of_keys_forgets_no_other_tenants_turns(monkeypatch, clock, line):
    monkeypatch.setattr(turns, "MOST", 6)
    waits = [line.give("polite", f"k{number}", earliest=0, rate=RATE) for number in range(3)]
    waits += [line.give("greedy", f"k{number}", earliest=0, rate=RATE) for number in range(20)]
    assert {tenant: len(own) for tenant, own in line._known.items()} == {"polite": 3, "greedy": 3}
    clock.sleep(max(waits))
    assert [line.may_fill("polite", f"k{number}", 0.25) for number in range(3)] == [1, 1, 1]
    assert [line.may_fill("greedy", f"k{number}", 0.25) for number in (16, 17)] == [0.75, 1]


def test_nothing_is_kept_of_those_who_were_let_in(line):
    for _ in range(2):
        line.give("t", "k", earliest=0, rate=RATE)
    line.took("t", "k")
    line.took("t", "k")
    assert (line._count, line._known) == (0, {})
