"""What is active changes step by step and never by two operators at once; a canary's share is what was asked for."""

import pytest

from skylens import active
from skylens.active import Active, Canary
from skylens.errors import ModelError
from skylens.fakes import FakeStore

ONE = Active(model="net@1", at=1.0)
TWO = Active(model="net@2", at=2.0, previous="net@1")


def test_activation_keeps_the_version_before():
    assert active.activated(None, "net@1", 1.0) == ONE
    assert active.activated(ONE, "net@2", 2.0) == TWO
    assert active.activated(TWO, "net@2", 3.0) == Active(model="net@2", at=3.0, previous="net@1")


def test_a_canary_leaves_the_active_model_and_is_over_with_the_next_activation():
    tried = active.tried(TWO, "net@3", 0.1, 3.0)
    assert (tried.model, tried.previous, tried.canary) == ("net@2", "net@1", Canary(model="net@3", share=0.1))
    assert active.activated(tried, "net@3", 4.0) == Active(model="net@3", at=4.0, previous="net@2")


def test_a_roll_back_ends_the_canary_first_and_then_swaps_the_two_last_versions():
    tried = active.tried(TWO, "net@3", 0.1, 3.0)
    assert active.rolled_back(tried, 4.0) == Active(model="net@2", at=4.0, previous="net@1")
    assert active.rolled_back(TWO, 4.0) == Active(model="net@1", at=4.0, previous="net@2")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: active.tried(None, "net@1", 0.1, 1.0), "nothing is active yet"),
        (lambda: active.tried(ONE, "net@1", 0.1, 1.0), "net@1 is active already"),
        (lambda: active.tried(ONE, "net@2", 1.0, 1.0), "share = 1: a canary's share is more than 0 and less than 1"),
        (lambda: active.tried(ONE, "net", 0.5, 1.0), "'net': a model is named as name@version"),
        (lambda: active.activated(ONE, "../net@2", 1.0), "'../net@2': a model is named"),
        (lambda: active.rolled_back(None, 1.0), "there is nothing to go back to"),
        (lambda: active.rolled_back(ONE, 1.0), "there is nothing to go back to"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(change, said):
    with pytest.raises(ModelError, match=said):
        change()


def test_what_was_written_is_read():
    store = FakeStore()
    assert active.read(store) == (None, None)
    active.write(store, ONE, None)
    found, etag = active.read(store)
    assert found == ONE
    active.write(store, active.tried(found, "net@2", 0.25, 2.0), etag)
    assert active.read(store)[0].canary == Canary(model="net@2", share=0.25)


def test_two_operators_do_not_overwrite_each_other():
    store = FakeStore()
    active.write(store, ONE, None)
    _, etag = active.read(store)
    active.write(store, TWO, etag)
    for stale in (None, etag):
        with pytest.raises(ModelError, match="somebody else changed the active model meanwhile"):
            active.write(store, ONE, stale)
    assert active.read(store)[0] == TWO


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"model": "net", "at": 1}',
        '{"model": "net@1", "at": 1, "canary": {"model": "net@2", "share": 2}}',
        '{"model": "net@1", "at": 1, "canary": {"model": "/x@1", "share": 0.1}}',
    ],
)
def test_a_damaged_object_is_named(text):
    store = FakeStore()
    store.put(active.KEY, text.encode(), "application/json")
    with pytest.raises(ModelError, match=r"models/active\.json in the state bucket cannot be read"):
        active.read(store)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_canary_takes_its_share_and_the_same_requests_each_time(share):
    canary = Canary(model="net@2", share=share)
    ids = [f"0199-{number}" for number in range(20_000)]
    taken = [one for one in ids if canary.takes(one)]
    assert len(taken) / len(ids) == pytest.approx(share, abs=0.012)
    assert [one for one in ids if Canary(model="net@2", share=share).takes(one)] == taken


def test_a_greater_share_takes_more_and_keeps_those_that_it_had():
    ids = [f"0199-{number}" for number in range(1000)]
    small, large = (Canary(model="net@2", share=share) for share in (0.1, 0.3))
    assert {one for one in ids if small.takes(one)} < {one for one in ids if large.takes(one)}
