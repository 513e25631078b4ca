"""A worker goes from one version to the next without losing an image, and stays on what works."""

import errno
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from parts import FakeEngine, until

from app_aws.batcher import Batcher
from app_aws.switch import Bucket, Fixed, Serving, Switch, opening
from skylens import active
from skylens.active import Active, Canary
from skylens.clock import Clock, FakeClock
from skylens.errors import ModelError
from skylens.fakes import FakeStore, aws_error
from skylens.messages import Model


class Versioned(FakeEngine):
    """Gives its own version as every score."""

    def __init__(self, version):
        self.model = Model(name="net", version=str(version))

    def infer(self, batch):
        return np.full((len(batch), 3), float(self.model.version), np.float32)


class World:
    """A switch at ``net@1``, what is wanted of it, and versions that may be missing."""

    def __init__(self, seconds=0):
        self.time, self.store = FakeClock(), FakeStore()
        self.missing, self.loads, self.made = set(), [], {}
        self.trouble = ModelError("it is not there")
        self.models = Bucket(self.store, self.load)
        self.switch = Switch(self.serving(1), self.models, self.time.clock(), seconds)
        self.switch.start()

    def serving(self, version):
        engine = Versioned(version)
        self.made[version] = Serving(engine, Batcher(engine.infer, 4, 0.0))
        return self.made[version]

    def load(self, model_id):
        self.loads.append(model_id)
        if model_id in self.missing:
            raise self.trouble
        return self.serving(int(model_id.partition("@")[2]))

    def want(self, model, canary=None, share=0.5, *, look=True):
        wanted = Active(model=model, at=1.0, canary=Canary(model=canary, share=share) if canary else None)
        active.write(self.store, wanted, active.read(self.store)[1])
        if look:
            self.switch.look()

    def answer(self, request_id="r"):
        with self.switch.pick(request_id) as picked:
            return int(picked.submit(lambda: picked.engine.prepare(b"cat")).result(10)[0])

    def lives(self, version):
        return all(thread.is_alive() for thread in self.made[version].batcher.threads)


@pytest.fixture
def world():
    made = World()
    yield made
    made.switch.stop(10)


def test_a_new_version_answers_from_the_swap_on(world):
    assert world.answer() == 1
    world.want("net@2")
    assert world.answer() == 2
    world.switch.look()
    assert not world.lives(1)
    assert world.loads == ["net@2"]


def test_without_anything_activated_the_first_model_stays(world):
    world.switch.look()
    assert world.answer() == 1
    world.want("net@2")
    world.store.delete(active.KEY)
    world.switch.look()
    assert world.answer() == 2


def test_a_request_keeps_the_model_that_it_picked_and_the_old_one_waits_for_it(world):
    with world.switch.pick("r") as picked:
        world.want("net@2")
        world.switch.look()
        assert world.answer() == 2
        assert world.lives(1)
        assert picked.engine.model.version == "1"
        assert picked.submit(lambda: picked.engine.prepare(b"cat")).result(10)[0] == 1
    world.switch.look()
    assert not world.lives(1)


def test_a_canary_takes_its_share_and_a_redelivery_gets_the_same(world):
    world.want("net@1", canary="net@2", share=0.3)
    ids = [f"r{number}" for number in range(1000)]
    answers = [world.answer(one) for one in ids]
    assert answers.count(2) == pytest.approx(300, abs=60)
    assert [world.answer(one) for one in ids[:100]] == answers[:100]
    world.want("net@1")
    assert {world.answer(one) for one in ids[:100]} == {1}


def test_a_canary_that_is_activated_is_not_loaded_again(world):
    world.want("net@1", canary="net@2")
    world.want("net@2")
    assert world.answer() == 2
    assert world.loads == ["net@2"]
    assert world.lives(2)


@pytest.mark.parametrize("trouble", [ModelError("it is not there"), OSError(errno.ENOSPC, "the disk is full")])
def test_a_version_that_cannot_be_loaded_leaves_the_old_one_at_work_and_is_tried_again_later(world, trouble):
    world.trouble = trouble
    world.missing.add("net@2")
    world.want("net@2")
    assert world.answer() == 1
    world.switch.look()
    assert world.loads == ["net@2"]
    world.time.sleep(5.1)
    world.switch.look()
    world.switch.look()
    assert world.loads == ["net@2"] * 2
    world.time.sleep(5.1)
    world.switch.look()
    assert world.loads == ["net@2"] * 2, "the second pause is longer"
    world.missing.clear()
    world.time.sleep(5)
    world.switch.look()
    assert world.answer() == 2


def test_another_decision_is_tried_at_once_after_a_failed_one(world):
    world.missing.add("net@2")
    world.want("net@2")
    world.want("net@3")
    assert world.answer() == 3
    world.missing.clear()
    world.want("net@2")
    assert world.answer() == 2


def test_a_canary_that_cannot_be_loaded_gets_no_request(world):
    world.missing.add("net@3")
    world.want("net@2", canary="net@3", share=0.9)
    assert {world.answer(f"r{number}") for number in range(50)} == {2}


def test_the_pause_between_two_tries_is_bounded(world):
    world.missing.add("net@2")
    world.want("net@2")
    for _ in range(20):
        world.time.sleep(300.1)
        world.switch.look()
    assert world.loads == ["net@2"] * 21


@pytest.mark.parametrize("trouble", [aws_error("SlowDown", 503), ModelError("damaged"), RuntimeError("a bug")])
def test_the_thread_outlives_whatever_a_look_raises(trouble):
    world = World(seconds=0.005)
    world.store.script.fail("get", trouble, 3)
    until(lambda: len([call for call in world.store.script.calls if call[0] == "get"]) > 5)
    assert world.switch.dead() == []
    world.want("net@2", look=False)
    until(lambda: world.answer() == 2)
    world.switch.stop(10)
    assert not world.lives(2)


def test_a_dead_thread_of_a_model_at_work_is_seen_and_one_of_a_retired_model_is_not(world):
    world.want("net@2")
    world.switch.look()
    assert not world.lives(1)
    assert world.switch.dead() == []
    world.made[2].batcher.stop(10)
    assert world.switch.dead() == ["batcher-0"]


def test_no_image_is_lost_while_versions_change_under_load():
    world = World(seconds=0.002)
    done = threading.Event()

    def ask(client):
        asked, answers = 0, []
        while not done.is_set():
            asked += 1
            answers.append(world.answer(f"{client}-{asked}"))
        return asked, answers

    with ThreadPoolExecutor(8) as clients:
        running = [clients.submit(ask, client) for client in range(8)]
        for version in range(2, 12):
            world.want(f"net@{version}", look=False)
            until(lambda version=version: world.answer() == version)
        done.set()
        found = [one.result(10) for one in running]
    world.switch.stop(10)
    assert all(len(answers) == asked for asked, answers in found)
    assert all(answers == sorted(answers) for _, answers in found), "never back to an older version"
    assert {version for _, answers in found for version in answers} >= {2, 6, 11}


def test_a_worker_starts_with_what_is_active(world):
    world.want("net@2", look=False)
    assert opening(world.models, lambda: world.serving(9)).id == "net@2"


def test_a_worker_starts_with_the_version_before_where_the_active_one_is_broken(world):
    world.missing.add("net@3")
    active.write(world.store, Active(model="net@3", at=1.0, previous="net@2"), None)
    assert opening(world.models, lambda: world.serving(9)).id == "net@2"
    world.missing.add("net@2")
    assert opening(world.models, lambda: world.serving(9)).id == "net@9"


def test_a_half_written_pointer_starts_a_worker_with_its_own_and_changes_no_other_wherever_it_was_cut(world):
    world.want("net@2")
    whole, own = world.store.objects[active.KEY][0], world.serving(9)
    for cut in range(len(whole)):
        world.store.put(active.KEY, whole[:cut], "application/json")
        assert opening(world.models, lambda: own) is own
        with pytest.raises(ModelError, match="cannot be read"):
            world.switch.look()
        assert world.answer() == 2
    world.store.put(active.KEY, whole.replace(b"net@2", b"net@3"), "application/json")
    world.switch.look()
    assert world.answer() == 3


def test_a_worker_that_may_not_read_what_is_active_starts_with_its_own(world):
    world.store.script.fail("get", aws_error("AccessDenied", 403))
    assert opening(world.models, lambda: world.serving(9)).id == "net@9"


def test_a_worker_does_not_start_while_nobody_can_tell_what_is_active(world):
    world.store.script.fail("get", aws_error("SlowDown", 503))
    with pytest.raises(type(aws_error("SlowDown")), match="SlowDown"):
        opening(world.models, lambda: world.serving(9))


def test_a_worker_that_looks_for_no_model_has_no_thread_for_it():
    engine = Versioned(1)
    switch = Switch(Serving(engine, Batcher(engine.infer, 4, 0.0)), Fixed(), Clock(), 0)
    switch.start()
    assert "models" not in [thread.name for thread in threading.enumerate()]
    switch.stop(10)
