"""Where the door asks nobody for a key, a page of another site may not use its visitors' way to it, nor read there."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

import falcon

from skylens.errors import ForbiddenError

CHANGING = ("POST", "DELETE")
OWN = ("same-origin", "none")
"""``Sec-Fetch-Site`` of this door's own page, and of what its user typed."""


@dataclass(frozen=True)
class SameSite:
    """Middleware. Programs send neither ``Sec-Fetch-Site`` nor ``Origin`` and are not its business.

    ``local``: the door is this machine's, so that a name which somebody had point here is no name of it. A browser
    takes what is asked for by such a name for the page's own, and shows it the answer.
    """

    local: bool

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        del resp
        host = req.get_header("Host")
        if self.local and host is not None and not is_loopback(f"//{host}"):
            detail = f"this door is for its own machine; ask for http://127.0.0.1 or localhost, not {host[:80]!r}"
            raise ForbiddenError(detail, reason="cross_site")
        if req.method in CHANGING and not self._is_own(req):
            raise ForbiddenError(
                "a page of another site sent this; use the page that this door serves, or a program",
                reason="cross_site",
            )

    def _is_own(self, req: falcon.Request) -> bool:
        site, origin = req.get_header("Sec-Fetch-Site"), req.get_header("Origin")
        if site is not None and site not in OWN:
            return False
        if origin is None:
            return True
        if self.local and not is_loopback(origin):
            return False
        return site is not None or origin.partition("://")[2].lower() == (req.get_header("Host") or "").lower()


def is_loopback(origin: str) -> bool:
    """Whether it names this machine in a way that no name server can point elsewhere."""
    try:
        host = urlsplit(origin).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
