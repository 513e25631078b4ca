"""Who asks for what is there: with a slot or without, by tenants' shares, and never by waiting to be let in."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from keyed import ask, until

from skylens.errors import UnavailableError
from web_openstack import server
from web_openstack.admission import BRIEF, Admission
from web_openstack.jobs import Jobs
from web_openstack.slots import places

ALONE = 8
"""Requests without a slot that a tenant alone may have answered at once."""
PROMPT = 0.9
"""Seconds in which anybody is told who waits for nobody, on a busy machine too."""


def full(visits, slots):
    """Every slot is taken, those for tenants below their share as well."""
    admission = Admission(slots)
    for tenant in ["first"] * slots + ["second"] * (places(slots) - slots):
        assert visits.enter_context(admission.visit(tenant))
    return admission


@pytest.fixture
def visits():
    with ExitStack() as visits:
        yield visits


def refused(admission, tenant):
    began = time.monotonic()
    with pytest.raises(UnavailableError) as error, admission.visit(tenant):
        pass
    assert time.monotonic() - began < PROMPT
    return error.value.retry_after


def test_without_a_slot_a_tenant_alone_has_eight_places_and_is_told_at_once_when_it_has_no_more(visits):
    admission = full(visits, 8)
    assert [visits.enter_context(admission.visit("polls")) for _ in range(ALONE)] == [False] * ALONE
    assert refused(admission, "polls") == 1


def test_another_tenant_finds_one_and_so_do_some_more(visits):
    admission = full(visits, 8)
    for _ in range(ALONE):
        visits.enter_context(admission.visit("polls"))
    for tenant in ("a", "b", "c"):
        assert visits.enter_context(admission.visit(tenant)) is False
    assert refused(admission, "d") == 1


def test_a_place_is_given_back_however_its_request_ends(visits):
    admission = full(visits, 8)
    for _ in range(3 * ALONE):
        with pytest.raises(ZeroDivisionError), admission.visit("polls"):
            raise ZeroDivisionError
    assert visits.enter_context(admission.visit("polls")) is False


def test_a_process_that_stops_gives_time_to_nobody_and_still_answers_as_many(visits):
    admission = Admission(100)
    admission.draining.set()
    assert [visits.enter_context(admission.visit("t")) for _ in range(100)] == [False] * 100


def test_health_and_refusals_always_have_threads_of_their_own():
    assert places(BRIEF) < server.SPARE


@pytest.fixture
def held(monkeypatch):
    """The polls of the tenant ``polls`` are answered once this is set."""
    event, find = threading.Event(), Jobs.find

    def slow(self, job, tenant, *how):
        if tenant == "polls":
            event.wait(60)
        return find(self, job, tenant, *how)

    monkeypatch.setattr(Jobs, "find", slow)
    yield event
    event.set()


def test_polls_by_one_tenant_hide_neither_another_tenant_nor_health(make_web, serve, held):
    keys = {tenant: f"key of {tenant}" for tenant in ("polls", "other")}
    digests = " ".join(f"{tenant}:{hashlib.sha256(key.encode()).hexdigest()}" for tenant, key in keys.items())
    web = make_web(max_waits=8, api_keys=digests)
    made, _ = serve(web)
    jobs = {tenant: web.deps.jobs.new_id() for tenant in keys}
    for tenant, job in jobs.items():
        web.inputs.put(f"{tenant}/{job}", b"", "image/png")  # another node is at work on it
    slots = web.deps.admission._slots
    assert [slots.take(tenant) for tenant in ["first"] * 8 + ["second"]] == [True] * 9

    def poll(tenant):
        headers = {"Authorization": f"Bearer {keys[tenant]}"}
        return ask(int(made.effective_port), "GET", f"/v1/images/{jobs[tenant]}", headers=headers)

    with ThreadPoolExecutor(60) as pool:
        polls = [pool.submit(poll, "polls") for _ in range(60)]
        until(lambda: sum(one.done() for one in polls) == 60 - ALONE)
        over = [one.result() for one in polls if one.done()]
        assert {(status, headers["Retry-After"]) for status, headers, _ in over} == {(503, "1")}
        assert ask(int(made.effective_port), "GET", "/healthz")[0] == 200
        assert poll("other")[0] == 202
        held.set()
        assert [one.result()[0] for one in polls].count(202) == ALONE
