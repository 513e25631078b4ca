"""One classifier for AWS errors: each code means one thing, anything unknown is never retried in silence."""

import pytest
from botocore import exceptions

from skylens.aws_errors import Trouble, classify, explain, is_exists, is_gone, is_passing
from skylens.fakes import aws_error


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        ("Throttling", Trouble.THROTTLED),
        ("RequestLimitExceeded", Trouble.THROTTLED),
        ("SlowDown", Trouble.THROTTLED),
        ("OverLimit", Trouble.THROTTLED),
        ("ThrottledException", Trouble.THROTTLED),
        ("KMS.ThrottlingException", Trouble.THROTTLED),
        ("KmsThrottled", Trouble.THROTTLED),
        ("InsufficientInstanceCapacity", Trouble.CAPACITY),
        ("VcpuLimitExceeded", Trouble.CAPACITY),
        ("UnfulfillableCapacity", Trouble.CAPACITY),
        ("InsufficientCapacity", Trouble.CAPACITY),
        ("InsufficientAddressCapacity", Trouble.CAPACITY),
        ("MaxSpotInstanceCountExceeded", Trouble.CAPACITY),
        ("NoSuchKey", Trouble.GONE),
        ("404", Trouble.GONE),
        ("AWS.SimpleQueueService.NonExistentQueue", Trouble.GONE),
        ("InvalidInstanceID.NotFound", Trouble.GONE),
        ("PreconditionFailed", Trouble.EXISTS),
        ("ConditionalRequestConflict", Trouble.EXISTS),
        ("AccessDenied", Trouble.DENIED),
        ("UnauthorizedOperation", Trouble.DENIED),
        ("ExpiredToken", Trouble.DENIED),
        ("RequestExpired", Trouble.DENIED),
        ("InvalidSignatureException", Trouble.DENIED),
        ("UnrecognizedClientException", Trouble.DENIED),
        ("SomethingNobodyHasSeen", Trouble.FATAL),
        ("", Trouble.FATAL),
    ],
)
def test_a_code_means_one_thing(code, trouble):
    error = aws_error(code)
    assert classify(error) is trouble
    assert is_gone(error) is (trouble is Trouble.GONE)
    assert is_exists(error) is (trouble is Trouble.EXISTS)
    assert is_passing(error) is (trouble is Trouble.THROTTLED)
    assert explain(error).startswith(f"{trouble.value}: ")


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_unknown_code_of_a_failing_server_passes(status):
    assert classify(aws_error("SomethingNobodyHasSeen", status)) is Trouble.UNREACHABLE
    assert is_passing(aws_error("SomethingNobodyHasSeen", status))


def test_an_unknown_code_with_too_many_requests_is_throttling():
    assert classify(aws_error("SomethingNobodyHasSeen", 429)) is Trouble.THROTTLED


def test_a_known_code_counts_more_than_the_status():
    assert classify(aws_error("AccessDenied", 503)) is Trouble.DENIED
    assert classify(aws_error("NoSuchKey", 429)) is Trouble.GONE


@pytest.mark.parametrize(
    "error",
    [
        exceptions.EndpointConnectionError(endpoint_url="https://sqs"),
        exceptions.ConnectTimeoutError(endpoint_url="https://sqs"),
        exceptions.ReadTimeoutError(endpoint_url="https://sqs"),
        exceptions.ConnectionClosedError(endpoint_url="https://sqs"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_connection_passes(error):
    assert classify(error) is Trouble.UNREACHABLE
    assert is_passing(error)


@pytest.mark.parametrize(
    "error", [exceptions.NoCredentialsError(), exceptions.PartialCredentialsError(provider="env", cred_var="X")]
)
def test_missing_credentials_are_denied_and_do_not_pass(error):
    assert classify(error) is Trouble.DENIED
    assert not is_passing(error)


@pytest.mark.parametrize("error", [ValueError("ours"), KeyError("ours"), OSError("ours")])
def test_what_is_no_error_of_aws_is_fatal(error):
    assert classify(error) is Trouble.FATAL
