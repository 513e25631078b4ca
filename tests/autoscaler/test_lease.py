import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from autoscaler.lease import KEY, Held, Lease
from skylens.clock import FakeClock
from skylens.errors import SettingsError
from skylens.fakes import FakeStore
from skylens.messages import decode
from skylens.settings import ScalerSettings, load

UNREACHABLE = EndpointConnectionError(endpoint_url="https://s3")


class Stage:
    def __init__(self):
        self.clock = FakeClock()
        self.store = FakeStore(self.clock.clock())

    def lease(self, owner):
        return Lease(self.store, owner, 10, self.clock.clock())

    def body(self):
        return decode(Held, self.store.objects[KEY][0])


def test_the_first_takes_it_and_the_second_does_not():
    stage = Stage()
    one, other = stage.lease("one"), stage.lease("other")
    one.keep({})
    other.keep({})
    assert (one.held, other.held, stage.body().owner) == (True, False, "one")


def test_a_holder_renews_after_a_third_of_its_time():
    stage = Stage()
    lease = stage.lease("one")
    for _ in range(10):
        lease.keep({})
        stage.clock.sleep(1)
    writes = [call for call in stage.store.script.calls if call[0] == "put_if"]
    assert (len(writes), lease.held, lease.term) == (3, True, 1)


def test_a_silent_holder_stops_believing_before_another_takes_over():
    stage = Stage()
    one, other = stage.lease("one"), stage.lease("other")
    one.keep({})
    held = []
    for _ in range(13):
        stage.clock.sleep(1)
        other.keep({})
        held.append((one.held, other.held))
    assert (True, True) not in held
    assert held[9:11] == [(False, False), (False, True)]


def test_a_holder_that_cannot_renew_holds_it_to_its_end_and_takes_it_again_later():
    stage = Stage()
    lease = stage.lease("one")
    lease.keep({})
    stage.store.script.fail("put_if", UNREACHABLE, times=2)
    for seconds in (4, 4):
        stage.clock.sleep(seconds)
        with pytest.raises(EndpointConnectionError):
            lease.keep({})
        assert lease.held
    stage.clock.sleep(2)
    assert not lease.held
    lease.keep({})
    assert (lease.held, lease.term) == (True, 2)


def test_a_holder_whose_lease_was_taken_loses_it_at_its_next_renewal():
    stage = Stage()
    one = stage.lease("one")
    one.keep({})
    stage.store.put(KEY, b'{"owner": "other"}', "application/json")
    stage.clock.sleep(4)
    one.keep({})
    assert not one.held


def test_a_renewal_whose_answer_was_lost_is_recognised_as_our_own():
    stage = Stage()
    one = stage.lease("one")
    one.keep({})
    stage.store.put(KEY, b'{"owner": "one"}', "application/json")
    stage.clock.sleep(4)
    one.keep({})
    assert one.held


def test_a_released_lease_is_taken_at_once_with_the_launches_noted_in_it():
    stage = Stage()
    one, other = stage.lease("one"), stage.lease("other")
    one.keep({})
    one.release({"i-1": 5.0})
    other.keep({})
    assert (one.held, other.held, other.inherited) == (False, True, {"i-1": 5.0})
    assert stage.body().launched == {"i-1": 5.0}


def test_releasing_a_lease_that_somebody_else_took_leaves_it_theirs():
    stage = Stage()
    one = stage.lease("one")
    one.keep({})
    stage.store.put(KEY, b'{"owner": "other"}', "application/json")
    one.release({})
    assert stage.body().owner == "other"


def test_of_two_that_race_for_a_free_lease_one_gets_it():
    stage = Stage()
    one, other = stage.lease("one"), stage.lease("other")
    get = stage.store.get

    def slow(key):
        found = get(key)
        stage.store.get = get
        other.keep({})
        return found

    stage.store.get = slow
    one.keep({})
    assert (one.held, other.held) == (False, True)


def test_a_damaged_lease_is_taken_over():
    stage = Stage()
    stage.store.put(KEY, b"not json", "text/plain")
    lease = stage.lease("one")
    lease.keep({})
    assert lease.held


def test_a_slow_write_counts_from_when_it_was_sent():
    stage = Stage()
    lease = stage.lease("one")
    put_if = stage.store.put_if

    def slow(*arguments, **named):
        written = put_if(*arguments, **named)
        stage.clock.sleep(11)
        return written

    stage.store.put_if = slow
    lease.keep({})
    assert not lease.held


def test_errors_of_s3_are_the_callers_to_bear():
    stage = Stage()
    stage.store.script.fail("get", ReadTimeoutError(endpoint_url="https://s3"))
    with pytest.raises(ReadTimeoutError):
        stage.lease("one").keep({})


def test_a_standby_looks_at_the_lease_at_most_once_a_second():
    stage = Stage()
    stage.lease("one").keep({})
    standby = stage.lease("other")
    stage.store.script.calls.clear()
    for _ in range(24):
        standby.keep({})
        stage.clock.sleep(0.125)
    assert [name for name, _ in stage.store.script.calls] == ["get"] * 3


def test_a_lease_outlasts_a_call_for_the_first_half_of_its_time_and_again_once_refreshed():
    stage = Stage()
    lease = stage.lease("one")
    assert not lease.outlasts_call
    lease.keep({})
    stage.clock.sleep(lease.call_seconds)
    assert lease.outlasts_call
    stage.clock.sleep(0.1)
    assert (lease.held, lease.outlasts_call) == (True, False)
    lease.refresh({})
    assert (lease.outlasts_call, lease.term) == (True, 1)


def test_a_lost_lease_is_not_taken_by_refreshing_it():
    stage = Stage()
    lease = stage.lease("one")
    lease.refresh({})
    assert stage.store.objects == {}
    lease.keep({})
    stage.clock.sleep(10)
    lease.refresh({})
    assert (lease.held, lease.outlasts_call) == (False, False)


@pytest.mark.parametrize("seconds", [2.5, "2.5", 1, 601])
def test_a_lease_lasts_for_whole_seconds_as_s3_tells_ages(seconds):
    with pytest.raises(SettingsError, match="SKYLENS_LEASE_SECONDS"):
        load(ScalerSettings, lease_seconds=seconds)
