"""What a client asked for beside its image: ``top``, ``wait``, ``Prefer``, ``traceparent``; each checked."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import falcon

from skylens.errors import BadRequestError
from skylens.messages import MOST_LABELS
from web_openstack.incoming import STORED

TOP = (1, MOST_LABELS)
TOP_DEFAULT = 5
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)


@dataclass(frozen=True)
class Waits:
    """How long clients may wait, in seconds. ``usual``: when they do not say; ``longest``: what they get at most."""

    usual: float
    longest: float

    def of_query(self, req: falcon.Request) -> float:
        """``?wait=``, capped. 0 when absent. Raises BadRequestError for what is no number of seconds."""
        value = req.get_param("wait")
        if value is None:
            return 0.0
        if not _NUMBER.fullmatch(value):
            raise BadRequestError(f"wait={value[:40]!r} is not a number of seconds from 0 to {self.longest:g}")
        return min(float(value), self.longest)

    def preferred(self, req: falcon.Request, resp: falcon.Response) -> float:
        """The wait that ``Prefer`` (RFC 7240) asks for; preferences we do not know are ignored, as it says."""
        asked = [item.strip().lower() for item in (req.get_header("Prefer") or "").split(",")]
        if "respond-async" in asked:
            resp.set_header("Preference-Applied", "respond-async")
            return 0.0
        for item in asked:
            name, _, value = item.partition("=")
            if name.strip() == "wait" and _NUMBER.fullmatch(value.strip()):
                wait = min(float(value), self.longest)
                resp.set_header("Preference-Applied", f"wait={wait:g}")
                return wait
        return self.usual


def top(req: falcon.Request) -> int:
    """``?top=``: how many labels. Raises BadRequestError outside 1 to 100."""
    value = req.get_param("top")
    if value is None:
        return TOP_DEFAULT
    if not re.fullmatch(r"\d{1,3}", value, re.ASCII) or not TOP[0] <= int(value) <= TOP[1]:
        raise BadRequestError(f"top={value[:40]!r} is not a whole number from {TOP[0]} to {TOP[1]}")
    return int(value)


def media(req: falcon.Request) -> str:
    """The body's media type, in small letters and without parameters; empty when it is not said."""
    return (req.content_type or "").partition(";")[0].strip().lower()


def trace(req: falcon.Request) -> str:
    """The W3C ``traceparent``, or nothing when it is absent or malformed (the specification says: ignore it)."""
    value = (req.get_header("traceparent") or "").strip()
    return value if _TRACEPARENT.fullmatch(value) else ""


def gone(req: falcon.Request) -> Callable[[], bool]:
    """Whether the client has closed its connection."""
    disconnected: Callable[[], bool] = req.env.get("waitress.client_disconnected", lambda: False)
    return disconnected


def stored(req: falcon.Request) -> None:
    """The request's image is stored: the room of its body is for others, however long its client waits."""
    req.env.get(STORED, lambda: None)()
