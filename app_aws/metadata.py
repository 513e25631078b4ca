"""The instance metadata service, IMDSv2: this instance's id, what it was told at launch, whether it is to leave."""

import re

import httpx2

from skylens.clock import Clock
from skylens.errors import SettingsError, UnavailableError

ENDPOINT = "http://169.254.169.254"
_TOKEN_SECONDS = 21600
_TIMEOUT = httpx2.Timeout(1.0)
"""The service is on the machine's own link; who takes longer is not there."""


class Metadata:
    """Used by one thread. Absent metadata (a plain machine, a 404) is an answer, not an error."""

    def __init__(self, endpoint: str, clock: Clock, transport: httpx2.BaseTransport | None = None) -> None:
        self._http = httpx2.Client(base_url=endpoint, timeout=_TIMEOUT, trust_env=False, transport=transport)
        self._clock = clock
        self._token, self._renew_at = "", 0.0

    def instance_id(self) -> str | None:
        """None where no metadata service answers."""
        try:
            return self._get("/latest/meta-data/instance-id")
        except httpx2.HTTPError:
            return None

    def user_data(self) -> dict[str, str]:
        """The settings given at launch. Raises SettingsError on a bad line, UnavailableError without an answer."""
        try:
            text = self._get("/latest/user-data")
        except httpx2.HTTPError as error:
            raise UnavailableError(f"the instance's user data cannot be read: {error}") from error
        return parse_user_data(text or "")

    def notice(self) -> str | None:
        """Why this instance is to leave, if it is: ``spot``, ``autoscaling`` or ``draining`` (tagged so)."""
        try:
            if self._get("/latest/meta-data/spot/instance-action"):
                return "spot"
            if self._get("/latest/meta-data/autoscaling/target-lifecycle-state") == "Terminated":
                return "autoscaling"
            if self._get("/latest/meta-data/tags/instance/skylens:state") == "draining":
                return "draining"
        except httpx2.HTTPError:
            return None
        return None

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
