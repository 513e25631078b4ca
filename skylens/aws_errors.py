"""The one place that looks at AWS error codes. Everyone else asks ``classify`` or one of the predicates."""

import re
from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own, of which Python's is no base
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParser, ResponseParserError, ResponseParserFactory

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from botocore.model import OperationModel


class Trouble(Enum):
    """What an AWS error means for the caller."""

    THROTTLED = "throttled"
    CAPACITY = "capacity"
    GONE = "gone"
    EXISTS = "exists"
    DENIED = "denied"
    UNREACHABLE = "unreachable"
    FATAL = "fatal"


class NotAwsError(BotoCoreError):
    """Something between us and AWS answered in its place: a proxy's page, a portal's login, an empty 200."""

    fmt = "{operation}: an answer with status {status} and no request id, so not from AWS"


AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError)

_CODES = {
    Trouble.THROTTLED: {
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "SlowDown",
        "TooManyRequestsException",
        "RequestThrottled",
        "EC2ThrottledException",
        "ThrottledException",
        "KMS.ThrottlingException",
        "KmsThrottled",
        "OverLimit",
        "ResourceContention",
        "ScalingActivityInProgress",
    },
    Trouble.CAPACITY: {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientCapacity",
        "InsufficientAddressCapacity",
        "UnfulfillableCapacity",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
        "VcpuLimitExceeded",
        "Unsupported",
        "InsufficientFreeAddressesInSubnet",
    },
    Trouble.GONE: {
        "NoSuchKey",
        "NotFound",
        "404",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "InvalidInstanceID.NotFound",
        "InvalidLaunchTemplateName.NotFoundException",
        "ReceiptHandleIsInvalid",
        "InvalidParameterValue.ReceiptHandle",
        "MessageNotInflight",
        "AWS.SimpleQueueService.MessageNotInflight",
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
        "RequestExpired",
        "InvalidSignatureException",
        "UnrecognizedClientException",
        "403",
    },
}
_HOPELESS = {
    "InvalidMessageContents",
    "InvalidParameterValue",
    "InvalidObjectState",
    "InvalidRequest",
}
"""Of SQS: characters that it does not carry, too many bytes. Of S3: an archived object, one under a client's key."""
_STATUS, _CODE = re.compile(r"status code: (\d{3})"), re.compile(r"<Code>([\w.]+)</Code>")
_BY_CODE = {code: trouble for trouble, codes in _CODES.items() for code in codes}


def classify(error: BaseException) -> Trouble:
    """What ``error``, raised by a boto3 call, means. Anything unknown is FATAL: never silently retried."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Trouble.DENIED
    if isinstance(error, HTTPClientError | ConnectionError | ResponseParserError | NotAwsError):
        return Trouble.UNREACHABLE
    if not isinstance(error, ClientError):
        return Trouble.FATAL
    found = _BY_CODE.get(error.response.get("Error", {}).get("Code", ""))
    return found or _by_status(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _by_status(status: int) -> Trouble:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Trouble.THROTTLED
    return Trouble.UNREACHABLE if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Trouble.FATAL


def refuse_foreign(
    parsed: Mapping[str, Any], http_response: "AWSResponse", model: "OperationModel", **_: object
) -> None:
    """A handler of botocore's event ``after-call``. AWS names its request id in each answer; raises NotAwsError if not.

    Without it a page served with 200 reads as "sent", "no such object" or "no instances", and one with 404 as "gone".
    """
    if not parsed.get("ResponseMetadata", {}).get("RequestId"):
        raise NotAwsError(operation=model.name, status=http_response.status_code)


class Parsers(ResponseParserFactory):
    """botocore's, made to raise ResponseParserError for every answer that they cannot read.

    That for JSON breaks by itself with whatever Python raises at text in Latin-1, and at JSON that is no object.
    """

    def create_parser(self, protocol_name: str) -> ResponseParser:
        parser = super().create_parser(protocol_name)
        parse = parser.parse

        def guarded(response: Mapping[str, Any], shape: Any) -> Any:
            try:
                parsed = parse(response, shape)
            except (ValueError, TypeError, AttributeError, LookupError) as error:
                raise ResponseParserError(f"no answer of AWS: {error}") from error
            if not isinstance(parsed, dict):
                raise ResponseParserError(f"no answer of AWS: {parsed!r}")
            return parsed

        parser.parse = guarded  # type: ignore[method-assign]
        return parser


def is_gone(error: BaseException) -> bool:
    return classify(error) is Trouble.GONE


def is_exists(error: BaseException) -> bool:
    return classify(error) is Trouble.EXISTS


def is_empty(error: ClientError) -> bool:
    """The first bytes were asked for of an object that has none."""
    return error.response["Error"]["Code"] == "InvalidRange"


def is_spent(error: ClientError) -> bool:
    """A delivery can no longer be deleted or extended: expired, deleted meanwhile, or hidden for SQS's 12 hours."""
    text = error.response["Error"]["Message"]
    return is_gone(error) or "parameter ReceiptHandle" in text or "Total VisibilityTimeout" in text


def is_hopeless(error: BaseException) -> bool:
    """AWS refuses this very message or object, whoever tries it and whenever: what it holds, or how it was stored."""
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _HOPELESS


def is_too_long(error: ClientError) -> bool:
    """The messages of a batch are too many bytes together; none was taken."""
    return error.response["Error"]["Code"].endswith("BatchRequestTooLong")


def is_no_member(error: ClientError) -> bool:
    """An Auto Scaling group does not have this instance, or does not wait for it; the code says less."""
    text = error.response["Error"]["Message"]
    return "Instance Id not found" in text or "No active Lifecycle Action" in text


def entry_error(operation: str, code: str, message: str, *, ours: bool) -> ClientError:
    """What boto3 would have raised for a failed entry of a batch call. ``ours``: AWS says that the sender erred."""
    status = HTTPStatus.BAD_REQUEST if ours else HTTPStatus.INTERNAL_SERVER_ERROR
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)  # type: ignore[arg-type]  # boto3's stubs want every metadata field


def s3_error(operation: str, said: str) -> ClientError | BotoCoreError:
    """What boto3 would have raised for an error of obstore. ``said``: that error's text, with S3's own in it."""
    said = said.partition("\n\nDebug source")[0]
    status, code = _STATUS.search(said), _CODE.search(said)
    if status and code:
        response = {"Error": {"Code": code[1], "Message": said}, "ResponseMetadata": {"HTTPStatusCode": int(status[1])}}
        return ClientError(response, operation)  # type: ignore[arg-type]  # as above
    return NotAwsError(operation=operation, status=status[1]) if status else HTTPClientError(error=said)


def is_passing(error: BaseException) -> bool:
    """Waiting may help: AWS is throttling or cannot be reached."""
    return classify(error) in {Trouble.THROTTLED, Trouble.UNREACHABLE}


def explain(error: BaseException) -> str:
    """A line for a log or a terminal: the kind, then AWS's own words."""
    return f"{classify(error).value}: {error}"
