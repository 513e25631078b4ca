"""The promise, by a machine that lets any process die, and any call fail, between any two steps of the others.

What was accepted has exactly one stored outcome, each client gets its own or can fetch it, and what was never accepted
is never answered. Mutants show that the machine sees it when an order of effects is broken.
"""

import msgspec
import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from promise_world import LABELS, VISIBILITY, Post, World

from app_aws import receiver, task
from web_openstack import jobs

TWO, ANY = st.integers(0, 1), st.integers(0, 30)
USUAL = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
MUTANT = settings(
    USUAL, max_examples=2000, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False
)


class Promise(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.world = World()

    @rule(door=TWO, label=st.sampled_from(LABELS), large=st.booleans(), keyed=st.booleans())
    def post(self, door, label, large, keyed):
        number = len(self.world.posts)
        data = label + (b"-too-large-to-ride" if large else b"")
        self.world.post(door, Post(f"{number}.png", data, f"key-{number}" if keyed else ""))

    @precondition(lambda self: any(post.key for post in self.world.posts))
    @rule(door=TWO, which=ANY)
    def post_again(self, door, which):
        keyed = [post for post in self.world.posts if post.key]
        self.world.post(door, keyed[which % len(keyed)])

    @precondition(lambda self: any(post.ids for post in self.world.posts))
    @rule(door=TWO, which=ANY)
    def get(self, door, which):
        accepted = [post for post in self.world.posts if post.ids]
        self.world.get(door, accepted[which % len(accepted)])

    @rule(number=TWO)
    def take(self, number):
        self.world.take(number)

    @rule(number=TWO)
    def extend(self, number):
        self.world.extend(number)

    @rule(door=TWO, what=st.sampled_from(["replies", "replies", "unstored", "letters", "astray"]))
    def poll(self, door, what):
        getattr(self.world, what)(door)

    @rule(which=ANY, times=st.integers(1, 12))
    def go_on(self, which, times):
        for _ in range(times):
            self.world.step(which)
            self.world.check()

    @rule(which=ANY)
    def fail(self, which):
        self.world.fail(which)

    @rule(number=TWO)
    def kill_worker(self, number):
        self.world.kill_worker(number)

    @rule(number=TWO)
    def kill_door(self, number):
        self.world.kill_door(number)

    @rule(twice=st.booleans())
    def pass_time(self, twice):
        self.world.requests.twice = twice
        self.world.sleep(VISIBILITY + 1)

    @invariant()
    def holds(self):
        self.world.check()

    def teardown(self):
        try:
            self.world.requests.twice = False
            self.world.settle()
            self.world.check_settled()
        finally:
            self.world.end()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """Nothing in the world waits by real time, or prints."""
    monkeypatch.setattr(receiver, "_LOOK_SECONDS", 0)
    monkeypatch.setattr(receiver, "POLL_SECONDS", 0)
    with structlog.testing.capture_logs():
        yield


def test_the_promise_holds_whatever_dies_or_fails_between_any_two_steps():
    run_state_machine_as_test(Promise, settings=USUAL)


def deleted_first(self, received, worked=lambda: None):
    """The request is deleted before its outcome is stored."""
    self.requests.delete([received.receipt])
    return handle(self, received, worked)


def sent_first(self, image, key):
    """The request is sent, and the client told, whether or not the image is stored."""
    self.calls.submit(store, self, image, key)


def another_ones(self, request, queued, watch):
    """Answers go out under the name of whoever came first."""
    first.append(request.name)
    return answer(self, msgspec.structs.replace(request, name=first[0]), queued, watch)


first = []
handle, answer, store = task.Recogniser.handle, task.Recogniser._answer, jobs.Jobs._store


@pytest.mark.parametrize(
    ("owner", "method", "mutant"),
    [
        (task.Recogniser, "handle", deleted_first),
        (task.Recogniser, "_answer", another_ones),
        (jobs.Jobs, "_store", sent_first),
    ],
)
def test_the_machine_sees_a_broken_order(monkeypatch, owner, method, mutant):
    monkeypatch.setattr(owner, method, mutant)
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        run_state_machine_as_test(Promise, settings=MUTANT)
