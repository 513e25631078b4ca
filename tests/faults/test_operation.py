"""The proxy knows which operation each real request of boto3 and obstore is."""

from datetime import UTC, datetime

import obstore
from obstore.store import S3Store


def names(behind):
    return [name for name, _ in behind.proxy.seen]


def test_of_s3_by_boto3(behind, bucket):
    one = behind()
    s3 = one.client("s3")
    s3.put_object(Bucket=bucket, Key="a/b c", Body=b"x", IfNoneMatch="*")
    s3.get_object(Bucket=bucket, Key="a/b c")
    s3.head_object(Bucket=bucket, Key="a/b c")
    s3.copy_object(Bucket=bucket, Key="d", CopySource={"Bucket": bucket, "Key": "a/b c"})
    s3.list_objects_v2(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="d")
    wanted = ["PutObject", "GetObject", "HeadObject", "CopyObject", "ListObjectsV2", "DeleteObject"]
    assert names(one) == [f"s3.{name}" for name in wanted]


def test_of_s3_by_obstore(behind, bucket):
    one = behind()
    store = S3Store(
        bucket,
        endpoint=one.proxy.url,
        region="us-east-1",
        access_key_id="x",
        secret_access_key="x",
        client_options={"allow_http": True},
    )
    obstore.put(store, "a/b", b"x", mode="create", use_multipart=False)
    assert obstore.get(store, "a/b").bytes() == b"x"
    assert names(one) == ["s3.PutObject", "s3.GetObject"]


def test_of_sqs(behind, queue):
    one = behind()
    sqs = one.client("sqs")
    sqs.get_queue_url(QueueName=queue.rpartition("/")[2])
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    sqs.delete_message_batch(QueueUrl=queue, Entries=[{"Id": "0", "ReceiptHandle": message["ReceiptHandle"]}])
    sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
    wanted = ["GetQueueUrl", "SendMessage", "ReceiveMessage", "DeleteMessageBatch", "GetQueueAttributes"]
    assert names(one) == [f"sqs.{name}" for name in wanted]


def test_of_ec2_auto_scaling_and_cloudwatch(behind):
    one = behind(which="control")
    one.client("ec2").describe_instances()
    one.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["none"])
    point = {"MetricName": "Demand", "Value": 1.0, "Timestamp": datetime.now(UTC)}
    one.client("cloudwatch").put_metric_data(Namespace="Skylens", MetricData=[point])
    wanted = ["ec2.DescribeInstances", "autoscaling.DescribeAutoScalingGroups", "cloudwatch.PutMetricData"]
    assert names(one) == wanted
