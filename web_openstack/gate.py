"""Asks who sends before a body is received: who may not send one is answered without it.

Where the strategy must ask somebody else first, the connection is not read on until it knows. So no thread of the
application waits for an issuer or for Keystone, nothing more of a stranger's body is taken in, and nobody else notices.
"""

from typing import TypeAlias

from skylens import logs
from skylens.errors import SkylensError
from web_openstack.callers import Caller, Header, Strategy, Tell

log = logs.get(__name__)

REFUSED = "skylens.refused"
"""Where the application finds in a request's environment why it has no body: a SkylensError."""
CALLER = "skylens.caller"
"""Where it finds who sent the request, a Caller, as it was when the headers came; None if that is for it to ask."""
Verdict: TypeAlias = Caller | SkylensError


class Gate:
    """What the thread that serves every connection asks of a request's headers; it never blocks."""

    def __init__(self, callers: Strategy) -> None:
        self._callers = callers

    def ready(self, header: Header, tell: Tell) -> bool:
        """Whether ``verdict`` can be had at once; else ``tell`` is called when it can."""
        try:
            return self._callers.ready(header, tell)
        except Exception:  # as below; the verdict, asked at once, says so to the client
            log.exception("gate.broke")
            return True

    def verdict(self, header: Header) -> Verdict:
        """Who sends, or why nobody may."""
        try:
            return self._callers.caller(header)
        except SkylensError as error:
            return error
        except Exception:  # a fault of ours must not end the thread that serves every connection
            log.exception("gate.broke")
            return SkylensError()


def refusal(verdict: Verdict) -> SkylensError | None:
    """Why this sender may not send a body, or None: only who may send images has anything to send."""
    if isinstance(verdict, SkylensError):
        return verdict
    try:
        verdict.check("submit")
    except SkylensError as error:
        return error
    return None
