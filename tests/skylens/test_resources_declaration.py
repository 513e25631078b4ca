"""``resources.json``: what it declares is what the code goes by."""

from skylens.instances import DEPLOYMENT_TAG, STATE_TAG
from skylens.resources import declared
from skylens.settings import Settings
from web_openstack.deletion import FOLDER
from web_openstack.housekeeping import SEEN_TAG
from web_openstack.webhooks.agenda import Place
from web_openstack.webhooks.hooks import key as webhook

DECLARED = declared()
QUEUES = {queue.name: queue for queue in DECLARED.queues}


def test_the_tags_are_those_that_the_code_reads_and_writes():
    assert DECLARED.tags.deployment == DEPLOYMENT_TAG
    assert DECLARED.tags.state == STATE_TAG
    assert DECLARED.tags.seen == SEEN_TAG


def test_requests_are_hidden_for_as_long_as_the_setting_says_by_default():
    assert QUEUES["requests"].visibility_timeout == Settings.model_fields["visibility_timeout"].default


def test_a_dead_letter_queue_comes_first_and_keeps_longer_because_sqs_counts_from_the_first_send():
    for at, queue in enumerate(DECLARED.queues):
        if queue.dead_letters:
            assert queue.dead_letters in [one.name for one in DECLARED.queues[:at]]
            assert QUEUES[queue.dead_letters].retention > queue.retention
            assert queue.receives


def test_sqs_takes_every_retention():
    assert all(60 <= queue.retention <= 14 * 86400 for queue in DECLARED.queues)


def test_leases_what_was_learned_and_dead_letters_never_expire():
    (state,) = [bucket for bucket in DECLARED.buckets if bucket.name == "state"]
    for key in ("lease/autoscaler", "learned/autoscaler", "dead/default/1", "dead/unreadable/1.000"):
        assert not key.startswith(state.expiring)
    assert "batches/default/1".startswith(state.expiring)
    assert "idempotency/default/1".startswith(state.expiring)
    assert f"{FOLDER}/1/default/1".startswith(state.expiring)
    assert webhook(Place("default", "1")).startswith(state.expiring)
