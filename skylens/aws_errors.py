"""The one place that looks at AWS error codes. Everyone else asks ``classify`` or one of the predicates."""

from enum import Enum

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own, of which Python's is no base
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)


class Trouble(Enum):
    """What an AWS error means for the caller."""

    THROTTLED = "throttled"
    CAPACITY = "capacity"
    GONE = "gone"
    EXISTS = "exists"
    DENIED = "denied"
    UNREACHABLE = "unreachable"
    FATAL = "fatal"


AWS_ERRORS = (ClientError, BotoCoreError)

_CODES = {
    Trouble.THROTTLED: {
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "SlowDown",
        "TooManyRequestsException",
        "RequestThrottled",
        "EC2ThrottledException",
        "OverLimit",
    },
    Trouble.CAPACITY: {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
        "VcpuLimitExceeded",
        "Unsupported",
        "InsufficientFreeAddressesInSubnet",
    },
    Trouble.GONE: {
        "NoSuchKey",
        "NoSuchBucket",
        "NotFound",
        "404",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "InvalidInstanceID.NotFound",
        "InvalidLaunchTemplateName.NotFoundException",
        "ReceiptHandleIsInvalid",
        "InvalidParameterValue.ReceiptHandle",
    },
    Trouble.EXISTS: {
        "PreconditionFailed",
        "412",
        "ConditionalRequestConflict",
        "BucketAlreadyOwnedByYou",
        "InvalidLaunchTemplateName.AlreadyExistsException",
    },
    Trouble.DENIED: {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "RequestTimeTooSkewed",
        "403",
    },
}
_BY_CODE = {code: trouble for trouble, codes in _CODES.items() for code in codes}


def classify(error: BaseException) -> Trouble:
    """What ``error``, raised by a boto3 call, means. Anything unknown is FATAL: never silently retried."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Trouble.DENIED
    if isinstance(error, HTTPClientError | ConnectionError):
        return Trouble.UNREACHABLE
    if not isinstance(error, ClientError):
        return Trouble.FATAL
    found = _BY_CODE.get(error.response.get("Error", {}).get("Code", ""))
    if found is None and error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:  # noqa: PLR2004
        return Trouble.UNREACHABLE
    return found or Trouble.FATAL


def is_gone(error: BaseException) -> bool:
    return classify(error) is Trouble.GONE


def is_exists(error: BaseException) -> bool:
    return classify(error) is Trouble.EXISTS


def is_passing(error: BaseException) -> bool:
    """Waiting may help: AWS is throttling or cannot be reached."""
    return classify(error) in {Trouble.THROTTLED, Trouble.UNREACHABLE}


def explain(error: BaseException) -> str:
    """A line for a log or a terminal: the kind, then AWS's own words."""
    return f"{classify(error).value}: {error}"
