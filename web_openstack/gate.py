"""Asks who sends before a body is received: who may not send one is answered without it."""

from collections.abc import Callable

from waitress.adjustments import Adjustments

from skylens.errors import SkylensError
from web_openstack import framing
from web_openstack.callers import Header, Strategy

REFUSED = "skylens.refused"
"""Where the application finds in a request's environment why it has no body: a SkylensError."""
Gate = Callable[[Header], SkylensError | None]
"""Why the sender of these headers may not send a body, or None."""


def gate(callers: Strategy) -> Gate:
    """Only who may send images has anything to send."""

    def refusal(header: Header) -> SkylensError | None:
        try:
            callers.caller(header).check("submit")
        except SkylensError as error:
            return error
        return None

    return refusal


class Parser(framing.Parser):
    """A request whose body was refused is complete with its headers; ``turned_away`` hears of it.

    The application answers it as any other, so that there is one place for errors, logs and metrics.
    """

    completed: bool

    def __init__(self, adj: Adjustments, gate: Gate | None, turned_away: Callable[[], None]) -> None:
        super().__init__(adj)
        self.refused: SkylensError | None = None
        self._gate, self._turned_away = gate, turned_away

    def received(self, data: bytes) -> int:
        taken: int = super().received(data)
        if self._gate is None or not self.headers_finished:
            return taken
        gate, self._gate = self._gate, None
        if self.completed:  # it has no body, or was refused for its size
            return taken
        self.refused = gate(lambda name: self.headers.get(name.upper().replace("-", "_")))
        if self.refused is None:
            return taken
        self.close()
        self.body_rcv, self.expect_continue, self.completed = None, False, True
        self.headers["CONTENT_LENGTH"] = "0"
        self._turned_away()
        return len(data)
