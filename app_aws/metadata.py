"""The instance metadata service, IMDSv2: this instance's id, what it was told at launch, whether it is to leave."""

import re

import httpx2

from skylens.clock import Clock
from skylens.errors import SettingsError, UnavailableError
from skylens.instances import DRAINING, RESIDENT

ENDPOINT = "http://169.254.169.254"
_TOKEN_SECONDS = 21600
_TIMEOUT = httpx2.Timeout(1.0)
"""The service is on the machine's own link, and asked again when it is slow."""
_PATIENCE, _PAUSE = 30.0, 1.0
"""Seconds for which a starting worker asks again, and between two attempts."""


class Metadata:
    """Used by one thread. Absent metadata (a plain machine, a 404) is an answer, not an error."""

    def __init__(self, endpoint: str, clock: Clock, transport: httpx2.BaseTransport | None = None) -> None:
        """``endpoint``: empty for the usual one, which a plain machine lacks; any other one must answer."""
        self._endpoint, self._must = endpoint or ENDPOINT, bool(endpoint)
        self._http = httpx2.Client(base_url=self._endpoint, timeout=_TIMEOUT, trust_env=False, transport=transport)
        self._clock = clock
        self._token, self._renew_at = "", 0.0
        self._resident: str | None = None

    def instance_id(self) -> str | None:
        """None on a plain machine. Raises UnavailableError when a service is there, or must be, and does not answer.

        An instance that took itself for a plain machine would ignore its user data and every notice to leave.
        """
        try:
            found = self._patiently("/latest/meta-data/instance-id")
        except httpx2.HTTPError as error:
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
        except httpx2.HTTPError as error:
            raise self._silent(error) from error
        return parse_user_data(text or "")

    def _silent(self, error: httpx2.HTTPError) -> UnavailableError:
        return UnavailableError(f"the instance metadata at {self._endpoint} cannot be read: {error}")

    def _patiently(self, path: str) -> str | None:
        """As ``_get``, asking again for a while where that may help."""
        until = self._clock.ticks() + _PATIENCE
        while True:
            try:
                return self._get(path)
            except httpx2.HTTPError as error:
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
        except httpx2.HTTPError:
            return self._resident
        self._resident = RESIDENT if state == RESIDENT else None
        return DRAINING if state == DRAINING else self._resident

    def _get(self, path: str) -> str | None:
        """The text at ``path``, or None where there is none. Raises httpx2.HTTPError when the service fails."""
        answer = self._http.get(path, headers=self._fresh_token())
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            self._renew_at = 0.0
            answer = self._http.get(path, headers=self._fresh_token())
        if answer.status_code == httpx2.codes.NOT_FOUND:
            return None
        return answer.raise_for_status().text.strip()

    def _fresh_token(self) -> dict[str, str]:
        if self._clock.ticks() >= self._renew_at:
            answer = self._http.put(
                "/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}
            )
            self._token = answer.raise_for_status().text
            self._renew_at = self._clock.ticks() + _TOKEN_SECONDS / 2
        return {"X-aws-ec2-metadata-token": self._token}


def _passing(error: httpx2.HTTPError) -> bool:
    """Whether asking again may help: the service is slow, overloaded or broken, but nobody refused."""
    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.is_server_error or error.response.status_code == httpx2.codes.TOO_MANY_REQUESTS
    return isinstance(error, httpx2.TimeoutException | httpx2.ReadError | httpx2.RemoteProtocolError)


def _absent(error: httpx2.HTTPError) -> bool:
    """Whether it shows that there is no such service: nobody listens there, or something that knows no IMDSv2."""
    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.is_client_error and not _passing(error)
    return isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)


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
