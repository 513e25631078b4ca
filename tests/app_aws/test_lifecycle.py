"""When a worker leaves."""

import math

import pytest

from app_aws.lifecycle import LEASE, AutoscalerLease, Rules, reason_to_leave, wants_lease
from skylens.clock import FakeClock
from skylens.fakes import FakeStore, aws_error
from skylens.store import RECORD

USUAL = Rules(idle_timeout=0, orphan_timeout=600, resident=False)
LEAVER = Rules(idle_timeout=30, orphan_timeout=600, resident=False)
RESIDENT = Rules(idle_timeout=30, orphan_timeout=600, resident=True)
FOREVER = Rules(idle_timeout=0, orphan_timeout=0, resident=False)
NEVER_SEEN = math.inf


@pytest.mark.parametrize(
    ("rules", "notice", "idle", "lease_age", "reason"),
    [
        pytest.param(USUAL, None, 0, None, None, id="busy"),
        pytest.param(USUAL, None, 599, NEVER_SEEN, None, id="not idle for long enough to be an orphan"),
        pytest.param(USUAL, None, 600, NEVER_SEEN, "orphaned", id="no lease at all"),
        pytest.param(USUAL, None, 600, 600, "orphaned", id="an old lease"),
        pytest.param(USUAL, None, 9999, 599, None, id="a lease renewed just in time"),
        pytest.param(USUAL, None, 9999, None, None, id="an unreadable lease proves nothing"),
        pytest.param(USUAL, "spot", 0, None, "spot", id="a notice is obeyed when busy"),
        pytest.param(LEAVER, None, 29, None, None, id="idle, but not for long"),
        pytest.param(LEAVER, None, 30, None, "idle", id="idle for long"),
        pytest.param(LEAVER, "draining", 30, NEVER_SEEN, "draining", id="a notice comes before all else"),
        pytest.param(RESIDENT, None, 9999, NEVER_SEEN, None, id="a resident stays"),
        pytest.param(RESIDENT, "draining", 0, None, "draining", id="a resident obeys a notice"),
        pytest.param(LEAVER, "resident", 9999, NEVER_SEEN, None, id="one tagged as resident stays"),
        pytest.param(FOREVER, None, 9999, NEVER_SEEN, None, id="0 means never"),
    ],
)
def test_the_reason_to_leave(rules, notice, idle, lease_age, reason):
    assert reason_to_leave(rules, notice, idle, lease_age) == reason


@pytest.mark.parametrize(
    ("rules", "idle", "wanted"),
    [(USUAL, 299, False), (USUAL, 300, True), (RESIDENT, 9999, False), (FOREVER, 9999, False)],
)
def test_the_lease_is_looked_at_only_when_it_could_matter(rules, idle, wanted):
    assert wants_lease(rules, idle) is wanted


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def state(clock):
    return FakeStore(clock.clock())


def test_the_lease_is_looked_at_twice_a_minute(clock, state):
    lease = AutoscalerLease(state, clock.clock())
    state.put(LEASE, b"{}", "application/json")
    clock.sleep(7)
    assert lease.age() == 7
    clock.sleep(29)
    assert lease.age() == 7
    clock.sleep(1)
    assert lease.age() == 37
    assert len([call for call in state.script.calls if call[0] == "get"]) == 2


def test_a_missing_lease_is_infinitely_old_and_an_unreadable_one_unknown(clock, state):
    lease = AutoscalerLease(state, clock.clock())
    assert lease.age() == math.inf
    clock.sleep(30)
    state.script.fail("get", aws_error("SlowDown", 503))
    assert lease.age() is None
    clock.sleep(30)
    state.put(LEASE, bytes(RECORD + 1), "application/json")
    assert lease.age() is None
