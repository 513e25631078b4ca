"""The instance metadata service, IMDSv2: this instance's id, what it was told at launch, whether it is to leave."""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus

import urllib3
from urllib3 import exceptions
from urllib3.exceptions import HTTPError

from skylens.clock import Clock
from skylens.errors import SettingsError, UnavailableError
from skylens.instances import DRAINING, RESIDENT

ENDPOINT = "http://169.254.169.254"
_TOKEN_SECONDS = 21600
_TIMEOUT = urllib3.Timeout(1.0)
"""The service is on the machine's own link, and asked again when it is slow."""
_PATIENCE, _PAUSE = 30.0, 1.0
"""Seconds for which a starting worker asks again, and between two attempts."""


Ask = Callable[[str, str, Mapping[str, str]], urllib3.BaseHTTPResponse]
"""Method, URL and headers to an answer; raises urllib3's HTTPError when there is none."""


class StatusError(HTTPError):
    """An answer that is no success."""

    def __init__(self, status: int) -> None:
        super().__init__(f"it answered {status}")
        self.status = status


def over_http() -> Ask:
    """By urllib3, which boto3 has loaded already."""
    pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
    return lambda method, url, headers: pool.request(method, url, headers=headers)


class Metadata:
    """Used by one thread. Absent metadata (a plain machine, a 404) is an answer, not an error."""

    def __init__(self, endpoint: str, clock: Clock, ask: Ask | None = None) -> None:
        """``endpoint``: empty for the usual one, which a plain machine lacks; any other one must answer."""
        self._endpoint, self._must = endpoint or ENDPOINT, bool(endpoint)
        self._ask, self._clock = ask or over_http(), clock
        self._token, self._renew_at = "", 0.0
        self._resident: str | None = None

    def instance_id(self) -> str | None:
        """None on a plain machine. Raises UnavailableError when a service is there, or must be, and does not answer.

        An instance that took itself for a plain machine would ignore its user data and every notice to leave.
        """
        try:
            found = self._patiently("/latest/meta-data/instance-id")
        except HTTPError as error:
            if self._must or not _absent(error):
                raise self._silent(error) from error
            return None
        if self._must and not found:
            raise UnavailableError(f"the instance metadata at {self._endpoint} know no instance-id")
        return found

    def user_data(self) -> dict[str, str]:
        """The settings given at launch. Raises SettingsError on a bad line, UnavailableError without an answer."""
        try:
            text = self._patiently("/latest/user-data")
        except HTTPError as error:
            raise self._silent(error) from error
        return parse_user_data(text or "")

    def _silent(self, error: HTTPError) -> UnavailableError:
        return UnavailableError(f"the instance metadata at {self._endpoint} cannot be read: {error}")

    def _patiently(self, path: str) -> str | None:
        """As ``_get``, asking again for a while where that may help."""
        until = self._clock.ticks() + _PATIENCE
        while True:
            try:
                return self._get(path)
            except HTTPError as error:
                if not _passing(error) or self._clock.ticks() >= until:
                    raise
            self._clock.sleep(_PAUSE)

    def notice(self) -> str | None:
        """Why this instance is to leave, if it is: ``spot``, ``autoscaling`` or ``draining`` (tagged so).

        Or ``resident`` when it is tagged to stay; that is still so while the service does not answer.
        """
        try:
            if self._get("/latest/meta-data/spot/instance-action"):
                return "spot"
            if self._get("/latest/meta-data/autoscaling/target-lifecycle-state") == "Terminated":
                return "autoscaling"
            state = self._get("/latest/meta-data/tags/instance/skylens:state")
        except HTTPError:
            return self._resident
        self._resident = RESIDENT if state == RESIDENT else None
        return DRAINING if state == DRAINING else self._resident

    def _get(self, path: str) -> str | None:
        """The text at ``path``, or None where there is none. Raises HTTPError when the service fails."""
        url = self._endpoint + path
        answer = self._ask("GET", url, self._fresh_token())
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._renew_at = 0.0
            answer = self._ask("GET", url, self._fresh_token())
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        return _text(answer).strip()

    def _fresh_token(self) -> dict[str, str]:
        if self._clock.ticks() >= self._renew_at:
            wanted = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}
            self._token = _text(self._ask("PUT", self._endpoint + "/latest/api/token", wanted))
            self._renew_at = self._clock.ticks() + _TOKEN_SECONDS / 2
        return {"X-aws-ec2-metadata-token": self._token}


def _text(answer: urllib3.BaseHTTPResponse) -> str:
    """Its body. Raises StatusError, and HTTPError for a body that is no text."""
    if answer.status != HTTPStatus.OK:
        raise StatusError(answer.status)
    try:
        return answer.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HTTPError("it answered with bytes that are not UTF-8") from error


def _passing(error: HTTPError) -> bool:
    """Whether asking again may help: the service is slow, overloaded or broken, but nobody refused."""
    if isinstance(error, StatusError):
        return error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.TOO_MANY_REQUESTS
    if isinstance(error, exceptions.NewConnectionError):  # which urllib3 counts as a timeout
        return False
    return isinstance(error, exceptions.TimeoutError | exceptions.ProtocolError)


def _absent(error: HTTPError) -> bool:
    """Whether it shows that there is no such service: nobody listens there, or something that knows no IMDSv2."""
    if isinstance(error, StatusError):
        return HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR and not _passing(error)
    return isinstance(error, exceptions.NewConnectionError | exceptions.ConnectTimeoutError)


def parse_user_data(text: str) -> dict[str, str]:
    """``SKYLENS_NAME=value`` lines; empty lines and ``#`` comments are passed over. Raises SettingsError otherwise."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"\s*(SKYLENS_[A-Z0-9_]+)=(.*?)\s*", line)
        if not match:
            raise SettingsError(f"line {number} of the user data must read SKYLENS_NAME=value: {line[:80]!r}")
        found[match[1]] = match[2]
    return found
