"""A worker dies between its answer and its outcome, and two more die of the same request."""

import pytest
import structlog
from promise_world import VISIBILITY, Post, World


@pytest.fixture
def world():
    made = World()
    with structlog.testing.capture_logs():
        yield made
    made.end()


def run(world, what, *arguments):
    """Start it and let everything go on until nothing is under way."""
    getattr(world, what)(*arguments)
    while world.fibers:
        world.step(0)


def take_in(world):
    """An image that rides along, at door 0; a process's first one does not."""
    post = Post("second.png", b"cat", "")
    run(world, "post", 0, Post("first.png", b"dog", ""))
    run(world, "take", 0)
    run(world, "post", 0, post)
    return post


def die_once_answered(world):
    before = len(world.queues.queues["replies-web-0"].messages)
    world.take(0)
    while len(world.queues.queues["replies-web-0"].messages) == before:
        world.step(0)  # the oldest thread that can go on: the image's, never the one that stores
    world.kill_worker(0)


def die_with_it(world):
    world.sleep(VISIBILITY + 1)
    world.take(0)
    while not world.requests.counts().in_flight:
        world.step(0)
    world.kill_worker(0)


@pytest.mark.parametrize("settling", [0, 1])
def test_its_client_is_told_the_same_at_every_node_and_for_ever(world, settling):
    post = take_in(world)
    die_once_answered(world)
    run(world, "replies", 0)
    run(world, "get", 0, post)
    for _ in range(world.requests.max_receives - 1):
        die_with_it(world)
        run(world, "unstored", 0)
    world.sleep(VISIBILITY + 1)
    run(world, "take", 0)
    assert world.dead.messages
    run(world, "letters", settling)
    run(world, "get", 1, post)
    world.settle()
    world.check_settled()
    assert [reply.result.labels[0].label for _, _, reply in world.told] == ["cat", "cat"]
