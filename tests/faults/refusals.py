"""AWS's documented answers to a call that it refuses, in the form of the service that is asked."""

import json
import uuid
from typing import NamedTuple

from operation import Operation


class Answer(NamedTuple):
    """An HTTP response. ``headers``: as they go on the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Refusal(NamedTuple):
    """``status``, ``code`` and ``message`` as AWS documents them."""

    status: int
    code: str
    message: str


SLOW = "Rate exceeded"
INTERNAL = "We encountered an internal error. Please try again."
EXPIRED = "The security token included in the request is expired"
SKEWED = "Signature expired: 20300101T000000Z is now earlier than 20300101T003000Z (20300101T004500Z - 15 min.)"
NO_CAPACITY = "We currently do not have sufficient c7i.large capacity in the Availability Zone you requested."

WORDS = {
    "internal": {
        "rest-xml": Refusal(500, "InternalError", INTERNAL),
        "json": Refusal(500, "InternalFailure", INTERNAL),
        "ec2": Refusal(500, "InternalError", "An internal error has occurred"),
        "query": Refusal(500, "InternalFailure", INTERNAL),
        "metrics": Refusal(500, "InternalServiceFault", INTERNAL),
    },
    "unavailable": {
        "rest-xml": Refusal(503, "ServiceUnavailable", "Service is unable to handle request."),
        "json": Refusal(503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."),
        "ec2": Refusal(503, "Unavailable", "The server is overloaded and can't handle the request."),
        "query": Refusal(503, "ServiceUnavailable", "Service is unavailable. Please try again."),
        "metrics": Refusal(503, "ServiceUnavailable", "Service is unavailable. Please try again."),
    },
    "throttled": {
        "rest-xml": Refusal(503, "SlowDown", "Please reduce your request rate."),
        "json": Refusal(400, "RequestThrottled", SLOW),
        "ec2": Refusal(503, "RequestLimitExceeded", "Request limit exceeded."),
        "query": Refusal(400, "Throttling", SLOW),
        "metrics": Refusal(400, "Throttling", SLOW),
    },
    "expired": {
        "rest-xml": Refusal(400, "ExpiredToken", "The provided token has expired."),
        "json": Refusal(403, "ExpiredTokenException", EXPIRED),
        "ec2": Refusal(400, "RequestExpired", "Request has expired."),
        "query": Refusal(403, "ExpiredToken", EXPIRED),
        "metrics": Refusal(403, "ExpiredTokenException", EXPIRED),
    },
    "skewed": {
        "rest-xml": Refusal(
            403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        ),
        "json": Refusal(403, "InvalidSignatureException", SKEWED),
        "ec2": Refusal(400, "RequestExpired", "Request has expired."),
        "query": Refusal(403, "SignatureDoesNotMatch", SKEWED),
        "metrics": Refusal(403, "InvalidSignatureException", SKEWED),
    },
    "denied": {
        "rest-xml": Refusal(403, "AccessDenied", "Access Denied"),
        "json": Refusal(403, "AccessDeniedException", "Access to the resource is denied."),
        "ec2": Refusal(403, "UnauthorizedOperation", "You are not authorized to perform this operation."),
        "query": Refusal(403, "AccessDenied", "You are not authorized to perform this operation."),
        "metrics": Refusal(403, "AccessDeniedException", "You are not authorized to perform this operation."),
    },
    "no capacity": {"ec2": Refusal(500, "InsufficientInstanceCapacity", NO_CAPACITY)},
}
"""Each kind of refusal by protocol."""


def refusal(operation: Operation, kind: str) -> Answer:
    """Raises KeyError when that service never refuses in that way."""
    status, code, message = WORDS[kind][operation.protocol]
    one = str(uuid.uuid4())
    return {"rest-xml": _s3, "json": _json, "ec2": _ec2, "query": _query, "metrics": _json}[operation.protocol](
        status, code, message, one
    )


def _s3(status: int, code: str, message: str, one: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{one}</RequestId></Error>"
    return _xml(status, body, ("x-amz-request-id", one))


def _ec2(status: int, code: str, message: str, one: str) -> Answer:
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f"<Response><Errors>{error}</Errors><RequestID>{one}</RequestID></Response>"
    return _xml(status, body, ("x-amzn-requestid", one))


def _query(status: int, code: str, message: str, one: str) -> Answer:
    error = f"<Error><Type>{_fault(status)}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f"<ErrorResponse>{error}<RequestId>{one}</RequestId></ErrorResponse>"
    return _xml(status, body, ("x-amzn-requestid", one))


def _xml(status: int, body: str, request_id: tuple[str, str]) -> Answer:
    said = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode()
    return Answer(status, [("Content-Type", "text/xml"), request_id], said)


def _json(status: int, code: str, message: str, one: str) -> Answer:
    said = json.dumps({"__type": f"com.amazon.coral.service#{code}", "message": message}).encode()
    kind = ("Content-Type", "application/x-amz-json-1.0")
    return Answer(status, [kind, ("x-amzn-requestid", one), ("x-amzn-query-error", f"{code};{_fault(status)}")], said)


def _fault(status: int) -> str:
    return "Sender" if status < 500 else "Receiver"
