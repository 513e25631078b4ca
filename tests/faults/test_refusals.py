"""Each refusal is what boto3 makes of AWS's own: its code, its status, and what our classifier says of it."""

import pytest
from botocore.exceptions import ClientError
from plan import always, scripted
from refusals import WORDS

from skylens.aws_errors import Trouble, classify

CALLS = {
    "rest-xml": ("data", "s3", lambda client: client.list_objects_v2(Bucket="any")),
    "json": ("data", "sqs", lambda client: client.send_message(QueueUrl="http://any/queue", MessageBody="x")),
    "ec2": ("control", "ec2", lambda client: client.describe_instances()),
    "query": ("control", "autoscaling", lambda client: client.describe_auto_scaling_groups()),
    "metrics": ("control", "cloudwatch", lambda client: client.put_metric_data(Namespace="n", MetricData=[])),
}
"""A call in each protocol: which emulator, which service, and the call."""
TROUBLE = {
    "internal": Trouble.UNREACHABLE,
    "unavailable": Trouble.UNREACHABLE,
    "throttled": Trouble.THROTTLED,
    "expired": Trouble.DENIED,
    "skewed": Trouble.DENIED,
    "denied": Trouble.DENIED,
    "no capacity": Trouble.CAPACITY,
}
RETRIED = ("internal", "unavailable", "throttled")
ALL = [(kind, protocol) for kind, by_protocol in WORDS.items() for protocol in by_protocol]


@pytest.mark.parametrize(("kind", "protocol"), ALL)
def test_boto3_reads_it_as_aws_means_it(behind, kind, protocol):
    which, service, call = CALLS[protocol]
    one = behind(always("refused", kind), which)
    with pytest.raises(ClientError) as caught:
        call(one.client(service))
    error, wanted = caught.value, WORDS[kind][protocol]
    assert (error.response["Error"]["Code"], error.response["Error"]["Message"]) == (wanted.code, wanted.message)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == wanted.status
    assert error.response["ResponseMetadata"]["RequestId"]
    assert classify(error) is TROUBLE[kind]


@pytest.mark.parametrize("kind", RETRIED)
@pytest.mark.parametrize(("service", "protocol"), [("ec2", "ec2"), ("autoscaling", "query")])
def test_botocore_tries_again_where_it_would_with_aws(behind, kind, service, protocol):
    which, _, call = CALLS[protocol]
    one = behind(scripted("refused", kind), which)
    call(one.client(service, tries=2))
    assert [fault for _, fault in one.proxy.seen] == ["refused", ""]


@pytest.mark.parametrize("kind", RETRIED)
def test_and_of_a_queue_too(behind, kind, queue):
    one = behind(scripted("refused", kind))
    one.client("sqs", tries=2).send_message(QueueUrl=queue, MessageBody="x")
    assert [fault for _, fault in one.proxy.seen] == ["refused", ""]


@pytest.mark.parametrize("kind", ["expired", "skewed", "denied"])
def test_it_does_not_where_that_is_in_vain(behind, kind, queue):
    one = behind(always("refused", kind))
    with pytest.raises(ClientError):
        one.client("sqs", tries=3).send_message(QueueUrl=queue, MessageBody="x")
    assert len(one.proxy.seen) == 1


def test_one_bucket_may_refuse_what_others_take(behind, bucket):
    one = behind(always("refused", "denied", operation="s3.PutObject", resource=f"{bucket}/*"))
    s3 = one.client("s3")
    s3.create_bucket(Bucket=f"{bucket}-b")
    s3.put_object(Bucket=f"{bucket}-b", Key="x", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=bucket, Key="x", Body=b"x")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_there_may_be_no_capacity_once(behind):
    one = behind(scripted("refused", "no capacity", operation="ec2.RunInstances"), "control")
    ec2 = one.client("ec2")
    options = {"ImageId": "ami-1", "InstanceType": "c7i.large", "MinCount": 1, "MaxCount": 1}
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        ec2.run_instances(**options)
    assert len(ec2.run_instances(**options)["Instances"]) == 1
