"""Who deletes an image is told nothing more of it."""

import pytest
from deletions import delete
from hooked import Receiver, answer, courier, pending, post, turns

from skylens.fakes import aws_error


@pytest.mark.parametrize("is_answered", [True, False])
def test_who_deletes_an_image_is_told_nothing_of_it(web, receiver, is_answered):
    job = post(web).json["id"]
    if is_answered:
        answer(web)
    assert delete(web, job).status_code == 204
    assert pending(web) == []
    turns(courier(web, receiver), web, 300)
    assert receiver.got == []


def test_a_deletion_while_a_receiver_fails_ends_the_repeats(web):
    job = post(web).json["id"]
    answer(web)
    receiver = Receiver(500)
    receiver.meanwhile = lambda: delete(web, job)
    turns(courier(web, receiver), web, 300)
    assert len(receiver.got) == 1
    assert pending(web) == []


def test_a_deletion_that_broke_off_before_the_webhook_is_heard_of_by_its_tombstone(web, receiver):
    job = post(web).json["id"]
    answer(web)
    web.state.script.fail("delete", aws_error("SlowDown", 503))
    assert delete(web, job).status_code == 503
    assert len(pending(web)) == 1
    courier(web, receiver).turn()
    assert (receiver.got, pending(web)) == ([], [])
