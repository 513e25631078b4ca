"""What a client of AWS sees when the network between them fails, and what took effect at the other end."""

import os
from contextlib import suppress

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.exceptions import HTTPClientError, IncompleteReadError
from plan import Fault, Plan, Rule, always, scripted

from skylens.aws_errors import AWS_ERRORS, Trouble, classify
from skylens.instances import Ec2Instances
from skylens.quick_store import QuickStore
from skylens.store import S3Store

CUT = (BotoConnectionError, HTTPClientError)
"""botocore's errors for a connection that ended too early."""
LARGE = os.urandom(3_000_000)


def sent(behind, queue):
    """The messages that are really on the queue."""
    found = behind.direct("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return sorted(message["Body"] for message in found.get("Messages", []))


def stored(behind, bucket):
    return behind.direct("s3").list_objects_v2(Bucket=bucket)["KeyCount"]


def test_without_a_plan_everything_passes_as_it_is(behind, bucket, queue):
    one = behind()
    s3, sqs = one.client("s3"), one.client("sqs")
    s3.put_object(Bucket=bucket, Key="x", Body=LARGE, ContentType="image/png")
    found = s3.get_object(Bucket=bucket, Key="x")
    assert (found["Body"].read(), found["ContentType"]) == (LARGE, "image/png")
    assert s3.head_object(Bucket=bucket, Key="x")["ContentLength"] == len(LARGE)
    s3.delete_object(Bucket=bucket, Key="x")
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert sent(one, queue) == []
    assert (one.proxy.figures["calls"], one.proxy.figures["failed"]) == (7, 0)


def test_a_reset_before_the_call_leaves_nothing_behind(behind, bucket, queue):
    one = behind(always("reset"))
    with pytest.raises(CUT) as caught:
        one.client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    assert classify(caught.value) is Trouble.UNREACHABLE
    with pytest.raises(CUT):
        one.client("s3").put_object(Bucket=bucket, Key="x", Body=LARGE)
    assert (sent(one, queue), stored(one, bucket)) == ([], 0)


def test_a_lost_answer_hides_a_call_that_took_effect(behind, bucket, queue):
    one = behind(always("lost"))
    with pytest.raises(CUT) as caught:
        one.client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    assert classify(caught.value) is Trouble.UNREACHABLE
    with pytest.raises(CUT):
        one.client("s3").put_object(Bucket=bucket, Key="x", Body=b"x")
    assert (sent(one, queue), stored(one, bucket)) == (["x"], 1)


def test_who_tries_again_after_a_lost_answer_sends_twice(behind, queue):
    one = behind(scripted("lost"))
    one.client("sqs", tries=2).send_message(QueueUrl=queue, MessageBody="x")
    assert sent(one, queue) == ["x", "x"]


def test_a_torn_answer_ends_in_the_middle(behind, bucket):
    one = behind(always("torn", operation="s3.GetObject"))
    s3 = one.client("s3")
    s3.put_object(Bucket=bucket, Key="x", Body=LARGE)
    found = s3.get_object(Bucket=bucket, Key="x")
    assert found["ContentLength"] == len(LARGE)
    with pytest.raises((*CUT, IncompleteReadError)) as caught:
        found["Body"].read()
    assert classify(caught.value) is Trouble.UNREACHABLE


def test_a_torn_refusal_of_an_object_is_unreachable_too(behind, bucket):
    store = S3Store(behind(always("torn")).client("s3"), bucket)
    with pytest.raises(HTTPClientError) as caught:
        store.get("missing")
    assert classify(caught.value) is Trouble.UNREACHABLE


def test_a_torn_receive_hides_its_messages(behind, queue):
    one = behind(always("torn", operation="sqs.ReceiveMessage"))
    sqs = one.client("sqs")
    sqs.send_message(QueueUrl=queue, MessageBody="x" * 5000)
    with pytest.raises(CUT):
        sqs.receive_message(QueueUrl=queue)
    assert sent(one, queue) == []


def test_an_empty_answer_may_be_torn_too(behind, bucket):
    one = behind(always("torn", operation="s3.DeleteObject"))
    with pytest.raises(CUT):
        one.client("s3").delete_object(Bucket=bucket, Key="x")


def test_a_client_that_gives_up_on_a_late_call_makes_none(behind, queue):
    one = behind(always("late", seconds=30))
    config = Config(read_timeout=0.3, retries={"total_max_attempts": 1})
    keys = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    with pytest.raises(HTTPClientError) as caught:
        boto3.client("sqs", endpoint_url=one.proxy.url, config=config, **keys).send_message(
            QueueUrl=queue, MessageBody="x"
        )
    assert classify(caught.value) is Trouble.UNREACHABLE
    assert sent(one, queue) == []


def test_a_late_call_is_made_in_the_end(behind, queue):
    one = behind(always("late", seconds=0.3))
    one.client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    assert sent(one, queue) == ["x"]


def test_a_shifted_date_shows_in_what_is_told_of_age(behind, bucket):
    one = behind(always("skewed", seconds=3600))
    store = S3Store(one.client("s3"), bucket)
    store.put("x", b"x", "text/plain")
    assert store.get("x").age > 3500
    assert S3Store(one.direct("s3"), bucket).get("x").age < 60


def test_a_lost_launch_that_is_asked_for_again_by_its_token_launches_once(behind):
    one = behind(scripted("lost", operation="ec2.RunInstances"), "control")
    ec2 = one.client("ec2")
    data = {"ImageId": "ami-1", "InstanceType": "c7i.large"}
    ec2.create_launch_template(LaunchTemplateName="faults-worker", LaunchTemplateData=data)
    fleet = Ec2Instances(ec2, "faults", "faults-worker")
    with pytest.raises(CUT):
        fleet.launch(2, "token")
    assert len(fleet.all()) == 2
    assert sorted(fleet.launch(2, "token")) == sorted(one.id for one in fleet.all())


@pytest.fixture
def obstores(behind, bucket):
    """``QuickStore`` behind a plan."""
    session = boto3.session.Session("x", "x", region_name="us-east-1")

    def make(plan):
        one = behind(plan)
        return one, QuickStore(one.client("s3", tries=3), session, bucket)

    return make


@pytest.mark.parametrize("kind", ["internal", "throttled", "unavailable"])
def test_obstore_tries_again_what_s3_refuses_for_a_moment(obstores, kind):
    one, store = obstores(scripted("refused", kind, calls=(1, 2)))
    store.put("x", b"x", "text/plain")
    assert [fault for _, fault in one.proxy.seen] == ["refused", "refused", ""]


@pytest.mark.parametrize("kind", ["expired", "skewed", "denied"])
def test_obstore_says_what_is_no_use_to_try_again(obstores, kind):
    _, store = obstores(always("refused", kind))
    with pytest.raises(Exception, match=r"(?s).*") as caught:
        store.put("x", b"x", "text/plain")
    assert classify(caught.value) is Trouble.DENIED


@pytest.mark.parametrize("kind", ["reset", "lost", "torn"])
def test_what_is_broken_for_good_is_unreachable_for_obstore(obstores, kind):
    _, store = obstores(always(kind))
    for call in (lambda: store.put("x", b"x", "text/plain"), lambda: store.get("x")):
        with pytest.raises(Exception, match=r"(?s).*") as caught:
            call()
        assert classify(caught.value) is Trouble.UNREACHABLE


@pytest.mark.parametrize("kind", ["lost", "torn"])
def test_of_two_conditional_writes_the_first_counts_even_if_its_answer_was_lost(obstores, kind):
    _, store = obstores(scripted(kind))
    with suppress(*AWS_ERRORS):  # it tries again by itself, or leaves that to us
        store.put_if("x", b"x", "text/plain", etag=None)
    store.put_if("x", b"y", "text/plain", etag=None)
    assert store.get("x").data == b"x"


def test_the_figures_tell_the_share_of_failed_calls(behind, queue):
    faults = (Fault("refused", "throttled"), Fault("lost"), Fault("late"))
    one = behind(Plan(rules=(Rule(share=0.4, faults=faults),), seed=5))
    sqs, failures = one.client("sqs"), 0
    for _ in range(150):
        try:
            sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
        except AWS_ERRORS:
            failures += 1
    figures = one.proxy.figures
    assert figures["failed"] == figures["fault refused"] + figures["fault lost"] == failures
    assert figures["calls sqs.GetQueueAttributes"] == figures["calls"] == 150
    assert failures == pytest.approx(150 * 0.4 * 2 / 3, abs=20)
