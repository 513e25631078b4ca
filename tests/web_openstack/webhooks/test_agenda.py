"""The agenda of webhooks: who is looked at next, and that nobody is forgotten or takes all the threads."""

import threading

import pytest

from skylens.clock import FakeClock
from skylens.errors import TooManyRequestsError, UnavailableError
from web_openstack.deleted import tombstone
from web_openstack.webhooks.agenda import AT_ONCE, AT_ONCE_OF_TENANT, FIRST_LOOK, Agenda, Place


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def agenda(clock):
    return Agenda(clock.clock(), most=5, most_of_tenant=3)


A, B = Place("acme", "1"), Place("acme", "2")


def heard(agenda, place):
    agenda.heard(tombstone(place.id, place.tenant))  # any reply


def test_a_new_one_is_looked_at_after_a_moment_and_then_when_it_is_said(agenda, clock):
    agenda.add(A)
    assert agenda.take() == []
    clock.sleep(FIRST_LOOK)
    assert agenda.take() == [A]
    assert agenda.take() == []
    agenda.done(A, 10)
    clock.sleep(9)
    assert agenda.take() == []
    clock.sleep(1)
    assert agenda.take() == [A]
    agenda.done(A, None)
    assert len(agenda) == 0


def test_its_answer_makes_it_due_once(agenda):
    agenda.add(A)
    heard(agenda, A)
    assert agenda.take() == [A]
    agenda.done(A, 3600)
    heard(agenda, A)
    heard(agenda, B)
    assert agenda.take() == []


def test_an_answer_that_comes_while_somebody_looks_is_looked_at_again(agenda):
    agenda.listed([(A, 0.0)], began=0)
    assert agenda.take() == [A]
    heard(agenda, A)
    agenda.done(A, 60)
    assert agenda.take() == [A]


def test_there_is_an_end_to_what_is_taken_in(agenda):
    for number in range(3):
        agenda.add(Place("acme", str(number)))
    agenda.add(Place("acme", "1"))  # it is there already
    with pytest.raises(TooManyRequestsError, match="3 webhooks of this tenant") as refused:
        agenda.add(Place("acme", "3"))
    assert (refused.value.reason, refused.value.retry_after) == ("webhooks", 30)
    for number in range(2):
        agenda.add(Place("other", str(number)))
    with pytest.raises(UnavailableError, match="too many webhooks"):
        agenda.add(Place("other", "3"))
    agenda.listed([(Place("other", str(number)), 0.0) for number in range(100)], began=0)
    assert len(agenda) == 5


def test_however_many_others_have_a_tenant_below_its_share_may_have_one(agenda):
    agenda.listed([(Place(tenant, str(number)), 0.0) for tenant in ("a", "b") for number in range(9)], began=0)
    assert len(agenda) == 5 + 2, "the second one has its share beside the first one's five"
    agenda.add(Place("c", "1"))
    with pytest.raises(UnavailableError, match="too many webhooks"):
        agenda.add(Place("c", "2"))
    agenda.drop(Place("c", "1"))
    agenda.add(Place("c", "2"))


def test_one_tenants_slow_receiver_leaves_threads_to_the_others(clock):
    agenda = Agenda(clock.clock())
    acme = [Place("acme", str(number)) for number in range(10)]
    others = [Place(f"t{number}", "1") for number in range(10)]
    agenda.listed([(place, 0.0) for place in acme + others], began=0)
    assert agenda.take() == [acme[0], *others[: AT_ONCE - 1]]
    assert agenda.take() == []


def test_a_tenant_alone_has_half_of_the_threads(clock):
    agenda = Agenda(clock.clock())
    acme = [Place("acme", str(number)) for number in range(10)]
    agenda.listed([(place, 0.0) for place in acme], began=0)
    assert agenda.take() == acme[:AT_ONCE_OF_TENANT]
    agenda.done(acme[0], None)
    assert agenda.take() == [acme[AT_ONCE_OF_TENANT]]


def test_a_listing_forgets_what_is_gone_but_nothing_that_is_newer_or_at_work(agenda, clock):
    agenda.listed([(A, 0.0), (B, 0.0)], began=0)
    clock.sleep(1)
    began = clock.now()
    assert agenda.take() == [A, B]
    agenda.done(B, 100)
    new = Place("acme", "3")
    agenda.add(new)
    agenda.listed([], began)
    clock.sleep(FIRST_LOOK)
    assert agenda.take() == [new]
    agenda.done(A, 0)
    assert agenda.take() == [A]


def test_what_is_listed_again_keeps_its_time(agenda, clock):
    agenda.listed([(A, 60.0)], began=0)
    agenda.listed([(A, 0.0)], began=0)
    assert agenda.take() == []
    clock.sleep(60)
    assert agenda.take() == [A]


def test_to_rest_ends_with_the_first_news(agenda):
    agenda.listed([(A, 1000.0)], began=0)
    agenda.take()
    resting = threading.Thread(target=agenda.rest, args=(1000,))
    resting.start()
    heard(agenda, A)
    resting.join(30)
    assert not resting.is_alive()


def test_news_from_before_the_rest_are_not_slept_through(agenda):
    agenda.take()
    agenda.wake()
    agenda.rest(1000)


def test_nobody_rests_while_one_is_due(agenda):
    agenda.listed([(A, 0.0)], began=0)
    agenda.take()
    agenda.done(A, 0)
    agenda._is_new = False
    agenda.rest(1000)


def test_nobody_starves_beside_tenants_whose_receivers_never_answer(clock):
    """Theirs are always due again before the last of them was looked at."""
    agenda = Agenda(clock.clock(), most=10_000)
    stuck = [Place(tenant, str(number)) for tenant in ("a", "b") for number in range(1000)]
    agenda.listed([(place, 0.0) for place in stuck], began=0)
    at_work = agenda.take()
    assert len(at_work) == AT_ONCE
    late = Place("c", "1")
    agenda.listed([(place, 0.0) for place in [*stuck, late]], began=0)
    agenda.done(at_work[0], 0.0)
    assert agenda.take() == [late]


def test_of_a_tenants_own_the_one_that_has_been_due_longest_comes_first(agenda, clock):
    agenda.listed([(A, 5.0), (B, 1.0)], began=0)
    clock.sleep(10)
    assert agenda.take() == [B, A]
