"""Asks who sends before a body is received: who may not send one is answered without it.

Where the strategy must ask somebody else first, the connection is not read on until it knows. So no thread of the
application waits for an issuer or for Keystone, nothing more of a stranger's body is taken in, and nobody else notices.
"""

from collections.abc import Callable
from typing import TypeAlias

from waitress.adjustments import Adjustments

from skylens import logs
from skylens.errors import SkylensError
from web_openstack import framing
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


class Parser(framing.Parser):
    """A request whose body was refused is complete with its headers; ``turned_away`` hears of it.

    The application answers it as any other, so that there is one place for errors, logs and metrics.

    While ``waiting`` for the gate, it is not complete, and keeps what came with its headers. ``tell`` is called when
    the gate knows; then ``go_on`` is to be, by the thread that serves every connection.
    """

    completed: bool

    def __init__(self, adj: Adjustments, gate: Gate | None, turned_away: Callable[[], None], tell: Tell) -> None:
        super().__init__(adj)
        self.refused: SkylensError | None = None
        self.caller: Caller | None = None
        self.waiting: Gate | None = None
        self._gate, self._turned_away, self._tell = gate, turned_away, tell
        self._bodiless, self._rest = False, b""

    def received(self, data: bytes) -> int:
        if self.waiting:
            self._rest += data
            return len(data)
        taken: int = super().received(data)
        if self._gate is None or not self.headers_finished:
            return taken
        gate, self._gate = self._gate, None
        if self.error:  # it was refused for its form or its size
            return taken
        self._bodiless = self.completed
        if gate.ready(self._header, self._tell):
            return len(data) if self._is_turned_away(gate) else taken
        self.waiting, self.completed = gate, False
        return taken

    def go_on(self) -> bytes:
        """Decide after all; what came after the headers and is still to be looked at."""
        gate, self.waiting = self.waiting, None
        rest, self._rest = self._rest, b""
        if gate is None:
            return rest
        self.completed = self._bodiless
        return b"" if self._is_turned_away(gate) else rest

    def _is_turned_away(self, gate: Gate) -> bool:
        verdict = gate.verdict(self._header)
        self.caller = verdict if isinstance(verdict, Caller) else None
        self.refused = None if self._bodiless else refusal(verdict)
        if self.refused is None:
            return False
        self.close()
        self.body_rcv, self.expect_continue, self.completed = None, False, True
        self.headers["CONTENT_LENGTH"] = "0"
        self._turned_away()
        return True

    def _header(self, name: str) -> str | None:
        value: str | None = self.headers.get(name.upper().replace("-", "_"))
        return value
