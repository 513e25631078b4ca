"""A client of the HTTP API: send an image, wait for its result, through refusals and broken connections."""

import hashlib
import os
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import httpx2

from skylens import __version__
from skylens.errors import MessageError, SkylensError, UnavailableError, UnknownJobError, by_code
from skylens.messages import Result, Struct, decode

WAIT = 20
"""Longest wait in seconds that is asked of the service in one request."""
SLACK = 10
"""Seconds by which a read outlasts the wait that was asked for."""
JOB = re.compile(r"/v1/images/[\w-]+$", re.ASCII)
PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class Problem(Struct, frozen=True, kw_only=True):
    """The body of an ``application/problem+json`` answer."""

    code: str = ""
    detail: str = ""


class Demand(Struct, frozen=True, kw_only=True):
    """Images in and out per second (the last entry unfinished), unanswered ones, age of the oldest in seconds."""

    outstanding: int
    oldest: float
    arrivals: tuple[int, ...]
    completions: tuple[int, ...]


class Worker(Struct, frozen=True, kw_only=True):
    instance: str
    state: str
    age: float
    in_flight: int = 0
    done: int = 0


class Fleet(Struct, frozen=True, kw_only=True):
    policy: str
    desired: int
    minimum: int
    maximum: int
    reason: str
    boot_seconds: float
    workers: tuple[Worker, ...]


class Counts(Struct, frozen=True, kw_only=True):
    visible: int
    in_flight: int


class Status(Struct, frozen=True, kw_only=True):
    """``GET /v1/status``: unlike the messages between tiers it may be read by a client of another release."""

    node: str
    demand: Demand
    fleet: Fleet | None = None
    fleet_age: float | None = None
    queue: Counts | None = None
    predicted_wait: float = 0.0


def connect(url: str, key: str = "", connections: int = 8) -> httpx2.Client:
    """An HTTP client of the service at ``url``, with its API key if it needs one; safe to share between threads."""
    return httpx2.Client(
        base_url=url,
        headers={"User-Agent": f"skylens/{__version__}"} | ({"Authorization": f"Bearer {key}"} if key else {}),
        timeout=httpx2.Timeout(30, connect=5, read=WAIT + SLACK, pool=None),
        limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
    )


@dataclass(frozen=True)
class Client:
    """Thread-safe. ``pause`` waits some seconds and says whether to give up (the ``wait`` of an Event that stops it).

    ``notice`` is told why an image has to wait, before each new try.
    """

    http: httpx2.Client
    timeout: float = 600.0
    """Seconds that one image may take, every try and wait together."""
    top: int = 5
    salt: str = ""
    """Part of every idempotency key: the same salt, path and bytes are the same job for the service."""
    pause: Callable[[float], bool] = field(default_factory=lambda: threading.Event().wait)
    ticks: Callable[[], float] = time.monotonic
    notice: Callable[[str], None] = lambda _: None

    def classify(self, path: Path) -> Result:
        """Send the image in a file and wait for its result; any repeat names the same job.

        Raises SkylensError (its detail says why there is none) and OSError when the file cannot be read.
        """
        end = self.ticks() + self.timeout
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            key = idempotency_key(path, digest, self.top, self.salt)

            def post(wait: int) -> httpx2.Response:
                file.seek(0)
                return self.http.post(
                    "/v1/images",
                    params={"top": self.top},
                    files={"file": (printable(path.name), file)},
                    headers={"Idempotency-Key": key, "Prefer": f"wait={wait}"},
                )

            answer = self._persist(post, end)
        while answer.status_code == HTTPStatus.ACCEPTED:
            answer = self._poll(answer, end)
        return decode(Result, answer.content)

    def _poll(self, accepted: httpx2.Response, end: float) -> httpx2.Response:
        """One long poll of an accepted job; a service that answers at once (it is stopping) is not asked in a rush.

        Only the path of Location counts: the API key goes to no other host.
        """
        found = JOB.search(accepted.headers.get("Location", ""))
        if found is None:
            raise SkylensError(f"{self.http.base_url} accepted the image without saying where its result will be")
        place = found[0]
        if self.ticks() >= end:
            raise UnavailableError(f"no result within {self.timeout:g} s; the job goes on at {place}")
        begin = self.ticks()
        answer = self._persist(lambda wait: self.http.get(place, params={"wait": wait}), end)
        if answer.status_code == HTTPStatus.ACCEPTED and self.ticks() - begin < 1 and self.pause(1.0):
            raise UnavailableError(f"stopped; the job goes on at {place}")
        return answer

    def delete(self, job: str) -> None:
        """Delete a job's image and result, for ever; no error when that was done before.

        Raises SkylensError, such as UnknownJobError for a job that the service does not know.
        """
        place = f"/v1/images/{job}"
        if not JOB.fullmatch(place):
            raise UnknownJobError(f"{printable(job)!r} is not the id of a job, which is a UUID")
        self._persist(lambda _: self.http.delete(place), self.ticks() + self.timeout)

    def status(self) -> Status:
        """What the service says of itself. Raises SkylensError when it does not answer."""
        try:
            return decode(Status, checked(self.http.get("/v1/status", timeout=5)).content)
        except httpx2.RequestError as error:
            raise UnavailableError(f"{self.http.base_url} does not answer: {reason(error)}") from error
        except PassingError as error:
            raise UnavailableError(error.detail, retry_after=error.retry_after) from error

    def _persist(self, ask: Callable[[int], httpx2.Response], end: float) -> httpx2.Response:
        """Ask (with how long the service may wait) until there is an answer that no new try would change."""
        tries = 0
        while True:
            left = end - self.ticks()
            try:
                return checked(ask(max(1, min(WAIT, int(left)))))
            except httpx2.RequestError as error:
                trouble = UnavailableError(f"{self.http.base_url} does not answer: {reason(error)}")
            except PassingError as error:
                trouble = UnavailableError(error.detail, retry_after=error.retry_after)
            delay = float(trouble.retry_after or backoff(tries))
            tries += 1
            if self.ticks() + delay > end:
                raise UnavailableError(f"{trouble.detail}; gave up after {tries} tries within {self.timeout:g} s")
            self.notice(f"{trouble.detail}; trying again in {delay:.0f} s")
            if self.pause(delay):
                raise UnavailableError("stopped while waiting to try again")


class PassingError(Exception):
    """An answer that a later try may change: busy, or a proxy whose service is away. Never leaves this module."""

    def __init__(self, detail: str, retry_after: int | None) -> None:
        super().__init__(detail)
        self.detail, self.retry_after = detail, retry_after


def checked(answer: httpx2.Response) -> httpx2.Response:
    """The answer if it is 200, 202 or 204. Raises PassingError, or the SkylensError that the service named."""
    if answer.status_code in {HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}:
        return answer
    problem = Problem()
    if "json" in answer.headers.get("Content-Type", ""):
        try:
            problem = decode(Problem, answer.content)
        except MessageError:
            problem = Problem()
    detail = printable(problem.detail) or f"{answer.url.copy_with(query=None)} answered {answer.status_code}"
    if answer.status_code in PASSING:
        waits = answer.headers.get("Retry-After", "")
        raise PassingError(detail, retry_after=int(waits) if re.fullmatch("[0-9]{1,9}", waits) else None)
    raise by_code(problem.code)(detail)


def backoff(tries: int) -> float:
    """Seconds before the next try when the service named none: doubling from half a second to 20, spread by half."""
    return min(20.0, 0.5 * 2.0 ** min(tries, 6)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, no secret


def reason(error: httpx2.RequestError) -> str:
    return str(error) or type(error).__name__


def idempotency_key(path: Path, digest: str, top: int, salt: str) -> str:
    """The same for the same file, place and question, so that sending it again finds the job of the first time."""
    parts = [str(path.absolute()), digest, str(top), salt]
    return hashlib.sha256(os.fsencode("\0".join(parts))).hexdigest()


def printable(path: Path | str) -> str:
    """A path, or what a service says, as text for any output.

    Bytes that are no UTF-8 and control characters are shown escaped.
    """
    text = os.fspath(path).encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
