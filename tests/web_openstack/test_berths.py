"""Berths: so many at work at once, tenants in turn."""

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyed import until

from web_openstack.berths import Berths


class Visitors:
    """Threads that each hold a berth until they are told to leave."""

    def __init__(self, berths):
        self.berths, self.began, self.threads = berths, [], []

    def come(self, tenant):
        leave = threading.Event()

        def stay():
            with self.berths.hold(tenant):
                self.began.append((tenant, leave))
                leave.wait(60)

        self.threads.append(threading.Thread(target=stay))
        before = sum(map(len, self.berths._waiting.values())) + len(self.began)
        self.threads[-1].start()
        until(lambda: sum(map(len, self.berths._waiting.values())) + len(self.began) > before)

    def leave(self, number):
        """Let the one go that came in as that number; the tenant of the next one that came in."""
        had = len(self.began)
        self.began[number][1].set()
        until(lambda: len(self.began) > had)
        return self.began[-1][0]


@pytest.fixture
def visitors():
    made = Visitors(Berths(2))
    yield made
    while any(thread.is_alive() for thread in made.threads):
        for _, leave in list(made.began):
            leave.set()
        made.threads[0].join(0.01)


def test_as_many_as_there_are_are_at_work_and_the_next_is_of_the_tenant_with_the_fewest(visitors):
    for tenant in ("greedy", "greedy", "greedy", "greedy", "polite", "third"):
        visitors.come(tenant)
    assert [tenant for tenant, _ in visitors.began] == ["greedy", "greedy"]
    assert [visitors.leave(number) for number in range(3)] == ["polite", "greedy", "third"]


def test_one_that_breaks_gives_its_berth_back():
    berths = Berths(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broke"), berths.hold("t"):
            raise ValueError("broke")


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_everybody_gets_a_turn_and_never_too_many_are_at_work(tenants):
    berths, at_work, most = Berths(3), Counter(), []
    lock = threading.Lock()

    def visit(tenant):
        with berths.hold(tenant):
            with lock:
                at_work[tenant] += 1
                most.append(at_work.total())
            with lock:
                at_work[tenant] -= 1

    threads = [threading.Thread(target=visit, args=(tenant,)) for tenant in tenants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == len(tenants)
    assert max(most, default=0) <= 3
    assert (berths._free, berths._own, berths._waiting) == (3, Counter(), {})
