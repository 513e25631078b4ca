"""Errors that a fake is told to raise, and the calls that it was given."""

from collections import deque

from botocore.exceptions import ClientError


def aws_error(code: str, status: int = 400) -> ClientError:
    """What boto3 raises for an AWS error of that code."""
    return ClientError(
        {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Fake",
    )


class Script:
    """Errors to raise on the next calls of a method: ``fail("send", aws_error("Throttling"), times=2)``."""

    def __init__(self) -> None:
        self._planned: dict[str, deque[Exception]] = {}
        self.calls: list[tuple[str, tuple[object, ...]]] = []

    def fail(self, method: str, error: Exception, times: int = 1) -> None:
        self._planned.setdefault(method, deque()).extend([error] * times)

    def called(self, method: str, *arguments: object) -> None:
        self.calls.append((method, arguments))
        planned = self._planned.get(method)
        if planned:
            raise planned.popleft()
